public import FileSystem
import KeyValue
import Logging
public import Primitives
import Redis
import Telemetry

extension KeyspaceFileSystem {
    public func open(
        _ caller: Caller, inode: InodeID, options: OpenOptions
    ) throws(Errno) -> OpenAnswer {
        if options.contains(.write) || options.contains(.truncate) { try requireWritable() }
        return try open(try inodes.inode(inode), options)
    }

    func open(_ inode: KeyInode, _ options: OpenOptions) throws(Errno) -> OpenAnswer {
        // So that an unlink meanwhile keeps the contents.
        inode.withState { $0.openCount += 1 }
        do throws(Errno) {
            let (file, isText) = try makeFile(inode, options)
            var answer = OpenAnswer(handle: files.insert(file, hint: inode.id))
            answer.direct = isText
            return answer
        } catch {
            inode.withState { $0.openCount -= 1 }
            throw error
        }
    }

    private func makeFile(
        _ inode: KeyInode, _ options: OpenOptions
    ) throws(Errno) -> (OpenKeyFile, isText: Bool) {
        guard let place = inode.livingPlace else { throw .stale }
        if place.isDirectory { throw .isDirectory }
        if place == .updater {
            if options.contains(.write) { updateEverything() }
            return (OpenKeyFile(inode: inode, mode: .reading), false)
        }
        if options.contains(.write) || options.contains(.truncate) {
            return (OpenKeyFile(inode: inode, mode: try writingMode(place, options)), false)
        }
        guard case .value(let key) = place, edit(of: place) == nil,
            let facts = try store.facts(of: place), isRendered(facts, place)
        else { return (OpenKeyFile(inode: inode, mode: .reading), false) }
        let text = try store.render(
            key, facts.type, self.options.format, limitBytes: self.options.renderingBytes)
        inode.withState { $0.renderedBytes = UInt64(text.count) }
        // Whoever asks how long the open file is shall not hear what was true before.
        if textSizes.known(key) != UInt64(text.count) {
            notifier.withLock { $0 }?.expireAttributes(inode.id)
        }
        return (OpenKeyFile(inode: inode, mode: .reading, contents: text), true)
    }

    private func writingMode(
        _ place: Place, _ options: OpenOptions
    ) throws(Errno) -> OpenKeyFile.Mode {
        let appends = options.contains(.append)
        if case .value = place, appends, !options.contains(.truncate), !options.contains(.read),
            edit(of: place) == nil
        {
            guard let facts = try store.facts(of: place) else { throw .noEntry }
            guard facts.type == .string else { throw .accessDenied }
            return .appending
        }
        let isTruncated = options.contains(.truncate)
        let session = try beginEdit(of: place, truncating: isTruncated)
        if isTruncated { remembered.touch(place) }
        return .editing(session, appends: appends)
    }

    // MARK: Data

    public func read(
        _ caller: Caller, inode: InodeID, handle: HandleID, offset: FileOffset, count: Int,
        sink: (UnsafeBufferPointer<UnsafeRawBufferPointer>) -> Void
    ) throws(Errno) {
        let file = try files.item(handle)
        let start = Int(clamping: offset.bytes)
        let range = start..<(start &+ count < start ? Int.max : start + count)
        let bytes = try read(range, of: file)
        metrics.add(.readBytes, UInt64(bytes.count))
        // SAFETY: both buffers live until the sink has returned.
        bytes.withUnsafeBytes { bytes in
            withUnsafePointer(to: bytes) { piece in
                sink(UnsafeBufferPointer(start: piece, count: 1))
            }
        }
    }

    private func read(_ range: Range<Int>, of file: OpenKeyFile) throws(Errno) -> Bytes {
        if let orphan = file.inode.withState({ $0.orphan }) {
            return orphan.contents.withLock { $0.contents(of: range, stored: []) }
        }
        guard let place = file.inode.livingPlace else { throw .stale }
        if let session = edit(of: place), session.size != nil { return try session.read(range) }
        if let contents = file.contents.withLock({ $0 }) {
            return Bytes(contents[range.clamped(to: 0..<contents.count)])
        }
        switch place {
        case .value(let key): return try readString(key, range)
        case .field(let key, let field):
            // Redis reads a field whole or not at all.
            let reply = try store.perform(RedisCommand("HGET", key, field), isBulky: true)
            guard let contents = try store.text(reply) else { throw .stale }
            file.contents.withLock { $0 = contents }
            return Bytes(contents[range.clamped(to: 0..<contents.count)])
        case .updater: return []
        case .directory, .hash: throw .isDirectory
        }
    }

    private func readString(_ key: Bytes, _ range: Range<Int>) throws(Errno) -> Bytes {
        guard range.lowerBound < EditSession.maximumBytes, !range.isEmpty else { return [] }
        let last = min(range.upperBound, EditSession.maximumBytes) - 1
        let reply = try store.perform(
            RedisCommand(
                "GETRANGE", key, Bytes(decimal: UInt64(range.lowerBound)),
                Bytes(decimal: UInt64(last))), isBulky: true)
        let bytes = try store.text(reply) ?? []
        // A key that is gone reads as an empty one: a program shall not take that for the end of the file.
        if bytes.isEmpty, try store.facts(of: .value(key: key)) == nil { throw .stale }
        return bytes
    }

    public func write(
        _ caller: Caller, inode: InodeID, handle: HandleID, offset: FileOffset,
        payload: UnsafeRawBufferPointer, options: WriteOptions
    ) throws(Errno) -> Int {
        try requireWritable()
        let file = try files.item(handle)
        let place = file.inode.place
        let end = UInt64(EditSession.maximumBytes)
        guard offset.bytes <= end, offset.bytes + UInt64(payload.count) <= end else {
            throw .fileTooLarge
        }
        if let orphan = file.inode.withState({ $0.orphan }) {
            orphan.contents.withLock { $0.write(payload, at: Int(offset.bytes)) }
            return payload.count
        }
        if place == .updater { return payload.count }
        guard file.inode.livingPlace != nil else { throw .stale }
        switch file.mode {
        case .reading:
            // From a shared mapping, of a handle that is a guess.
            guard let session = edit(of: place) else { throw .badFileDescriptor }
            try session.write(payload, at: Int(offset.bytes))
        case .editing(let session, let appends):
            // A mapping and a file that was cut know where they write.
            let isAppended = appends && !options.contains(.fromPageCache)
            try session.write(payload, at: isAppended ? nil : Int(offset.bytes))
        case .appending: try append(payload, to: place)
        }
        remembered.touch(place)
        metrics.add(.writtenBytes, UInt64(payload.count))
        return payload.count
    }

    private func append(
        _ payload: UnsafeRawBufferPointer, to place: Place
    ) throws(Errno) {
        if let session = edit(of: place), session.size != nil {
            return try session.write(payload, at: nil)
        }
        guard case .value(let key) = place else { throw .invalid }
        own.note(key)
        let reply = try store.perform(
            RedisCommand(
                "EVAL", KeyScripts.call(KeyScripts.append, keys: [key], [Bytes(payload)])),
            effect: .once, isBulky: true)
        guard try store.integer(reply) >= 0 else { throw .stale }
    }

    // MARK: Storing and closing

    public func flush(
        _ caller: Caller, inode: InodeID, handle: HandleID, lockOwner: UInt64
    ) throws(Errno) {
        try flush(try files.item(handle))
    }

    public func fsync(
        _ caller: Caller, inode: InodeID, handle: HandleID, dataOnly: Bool
    ) throws(Errno) {
        try flush(try files.item(handle))
    }

    private func flush(_ file: OpenKeyFile) throws(Errno) {
        guard case .editing(let session, _) = file.mode else { return }
        try session.flush(isAnswer: true)
        restoreExpiry(of: session.place)
    }

    public func release(
        _ caller: Caller, inode: InodeID, handle: HandleID, lockOwner: UInt64, flush: Bool,
        releaseFlock: Bool
    ) {
        guard let file = files.remove(handle) else { return }
        if case .editing(let session, _) = file.mode {
            // Nearly always stored by the close; what a mapping has written comes later.
            do throws(Errno) {
                try session.flush()
            } catch {
                logger.debug("a last close without a store", metadata: ["error": "\(error)"])
            }
            endEdit(of: session)
        }
        file.inode.withState { state in
            state.openCount -= 1
            if state.openCount == 0 { state.orphan = nil }
        }
    }

    public func fallocate(
        _ caller: Caller, inode: InodeID, handle: HandleID, mode: Int32, offset: FileOffset,
        length: UInt64
    ) throws(Errno) { throw .notSupported }

    public func lseek(
        _ caller: Caller, inode: InodeID, handle: HandleID, offset: FileOffset, whence: SeekWhence
    ) throws(Errno) -> FileOffset { throw .notImplemented }

    public func copyFileRange(
        _ caller: Caller, from: FileRangeStart, to: FileRangeStart, length: UInt64
    ) throws(Errno) -> UInt64 { throw .notSupported }
}
