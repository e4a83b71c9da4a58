import FileSystem
import Primitives

/// A filesystem in memory that records what it was asked and counts the kernel's references, for tests of
/// the server in front of it. Everything happens under one lock, but for `read` and a `barrier`.
class MemoryFileSystem: FileSystemOperations, @unchecked Sendable {
    struct Node {
        var attributes: Attributes
        var data: [UInt8] = []
        var target: [UInt8] = []
        var entries: [(name: [UInt8], inode: InodeID, cookie: UInt64)] = []
        var extendedAttributes: [[UInt8]: [UInt8]] = [:]
        var kernelReferences: UInt64 = 0
        var openHandles = 0
    }

    struct Write: Equatable {
        var offset: UInt64
        var count: Int
        var options: WriteOptions
    }

    /// What tests set.
    struct Behaviour {
        var failures: [String: Errno] = [:]
        var entryTimeout = 0.0
        var attributesTimeout = 0.0
        var negativeTimeout = 0.0
        var pieceBytes = 4_096
        var configureOpen: @Sendable (inout OpenAnswer) -> Void = { _ in }
        /// Entries of READDIRPLUS without attributes.
        var hidesAttributes = false
        /// Operations of these names wait until they are taken out of here.
        var held: Set<String> = []
    }

    /// What tests look at.
    struct Record {
        var calls: [String: Int] = [:]
        var callers: [String: Caller] = [:]
        var writes: [Write] = []
        var opens: [OpenOptions] = []
        var changes: [AttributeChanges] = []
        var renames: [RenameFlags] = []
        var flushOwners: [UInt64] = []
        var releases = 0
        /// How many operations of a name were held.
        var heldCount: [String: Int] = [:]
        var isUnmounted = false
        var lastDataOnly: Bool?
        var lastFallocate: (mode: Int32, offset: UInt64, length: UInt64)?
        var createdDevice: UInt32?
    }

    struct State {
        var nodes: [InodeID: Node] = [:]
        var nextInode: UInt64 = 2
        var nextCookie: UInt64 = 3
        var nextHandle: UInt64 = 1
        var behaviour = Behaviour()
        var record = Record()
        var notifier: (any KernelNotifier)?
    }

    let state: Monitor<State>
    var mayChangeElsewhere: Bool { false }

    init() {
        var first = State()
        first.nodes[.root] = Node(attributes: Self.attributes(.root, .directory, 0o755))
        state = Monitor(first)
    }

    // MARK: For tests

    func configure(_ change: (inout Behaviour) -> Void) { state.change { change(&$0.behaviour) } }
    var record: Record { state.withLock { $0.record } }
    func forgetRecord() { state.change { $0.record = Record() } }
    var notifier: (any KernelNotifier)? { state.withLock { $0.notifier } }

    /// Inodes but the root that the kernel refers to, with how often.
    var references: [InodeID: UInt64] {
        state.withLock { state in
            state.nodes.filter { $0.value.kernelReferences > 0 && $0.key != .root }
                .mapValues(\.kernelReferences)
        }
    }

    var openHandleCount: Int {
        state.withLock { state in state.nodes.values.reduce(0) { $0 + $1.openHandles } }
    }

    /// Waits for a condition that the kernel brings about.
    func wait(seconds: Int = 20, until condition: (State) -> Bool) -> Bool {
        state.wait(until: .after(milliseconds: seconds * 1_000)) { condition($0) ? () : nil } != nil
    }

    /// Adds a file behind the kernel's back.
    @discardableResult
    func plant(_ name: String, data: [UInt8] = [], mode: UInt32 = 0o100644) -> InodeID {
        state.change { state in
            let inode = Self.make(&state, parent: .root, name: Array(name.utf8), mode: mode)
            state.nodes[inode]?.data = data
            state.nodes[inode]?.attributes.size = UInt64(data.count)
            return inode
        }
    }

    func inode(named name: String) -> InodeID? {
        state.withLock { state in
            state.nodes[.root]?.entries.first { $0.name == Array(name.utf8) }?.inode
        }
    }

    func change(_ inode: InodeID, _ change: (inout Node) -> Void) {
        state.change { state in
            guard var node = state.nodes[inode] else { return }
            change(&node)
            state.nodes[inode] = node
        }
    }

    /// Removes an entry behind the kernel's back.
    func vanish(_ name: String) {
        state.change { state in
            state.nodes[.root]?.entries.removeAll { $0.name == Array(name.utf8) }
        }
    }

    // MARK: Building blocks

    static func attributes(_ inode: InodeID, _ kind: FileKind, _ permissions: UInt32) -> Attributes
    {
        let time = Timestamp(seconds: 1_700_000_000, nanoseconds: 123_456_789)
        return Attributes(
            inode: inode, kind: kind, permissions: permissions, linkCount: 1, userID: 0, groupID: 0,
            device: 0, size: 0, storedSectors: 0, preferredIOBytes: 4_096, accessTime: time,
            modificationTime: time, changeTime: time)
    }

    private static func make(
        _ state: inout State, parent: InodeID, name: [UInt8], mode: UInt32
    ) -> InodeID {
        let inode = InodeID(state.nextInode)
        state.nextInode += 1
        let kind = FileKind(mode: mode) ?? .regular
        state.nodes[inode] = Node(attributes: attributes(inode, kind, mode & 0o7777))
        add(&state, parent, name, inode)
        return inode
    }

    private static func add(
        _ state: inout State, _ parent: InodeID, _ name: [UInt8], _ inode: InodeID
    ) {
        state.nodes[parent]?.entries.append((name, inode, state.nextCookie))
        state.nextCookie += 1
    }

    /// Runs one operation under the lock: counted, and failed when a test wants that.
    private func perform<Result>(
        _ name: String, _ caller: Caller, _ body: (inout State) throws(Errno) -> Result
    ) throws(Errno) -> Result {
        waitWhileHeld(name)
        return try state.change { state throws(Errno) in
            state.record.calls[name, default: 0] += 1
            state.record.callers[name] = caller
            if let failure = state.behaviour.failures[name] { throw failure }
            return try body(&state)
        }
    }

    private func waitWhileHeld(_ name: String) {
        let isHeld = state.change { state in
            guard state.behaviour.held.contains(name) else { return false }
            state.record.heldCount[name, default: 0] += 1
            return true
        }
        if isHeld { _ = wait { !$0.behaviour.held.contains(name) } }
    }

    private static func node(_ state: State, _ inode: InodeID) throws(Errno) -> Node {
        guard let node = state.nodes[inode] else { throw .stale }
        return node
    }

    /// An answer that the kernel counts.
    private static func entry(_ state: inout State, _ inode: InodeID) throws(Errno) -> EntryAnswer {
        state.nodes[inode]?.kernelReferences += 1
        return EntryAnswer(
            attributes: try node(state, inode).attributes,
            entryTimeoutSeconds: state.behaviour.entryTimeout,
            attributesTimeoutSeconds: state.behaviour.attributesTimeout)
    }

    private static func find(
        _ state: State, _ parent: InodeID, _ name: FileName
    ) throws(Errno) -> InodeID {
        let wanted = name.copied
        if wanted == Array(".".utf8) { return parent }
        guard let found = try node(state, parent).entries.first(where: { $0.name == wanted }) else {
            throw .noEntry
        }
        return found.inode
    }

    private static func openAnswer(_ state: inout State, _ inode: InodeID) -> OpenAnswer {
        state.nodes[inode]?.openHandles += 1
        var answer = OpenAnswer(handle: HandleID(state.nextHandle))
        state.nextHandle += 1
        state.behaviour.configureOpen(&answer)
        return answer
    }

    // MARK: Names

    func lookup(
        _ caller: Caller, parent: InodeID, name: FileName
    ) throws(Errno) -> EntryAnswer {
        try perform("lookup", caller) { state throws(Errno) in
            try Self.entry(&state, Self.find(state, parent, name))
        }
    }

    /// `.` is looked up below any number; nothing here asks for `..`.
    var servesHandles: Bool { true }

    var negativeEntryTimeoutSeconds: Double { state.withLock { $0.behaviour.negativeTimeout } }

    func forget(_ inode: InodeID, count: UInt64) {
        state.change { state in
            state.record.calls["forget", default: 0] += 1
            guard inode != .root, let held = state.nodes[inode]?.kernelReferences else { return }
            precondition(held >= count, "the kernel gave back more references than it had")
            state.nodes[inode]?.kernelReferences = held - count
        }
    }

    func mknod(
        _ caller: Caller, parent: InodeID, name: FileName, mode: UInt32, device: UInt32
    ) throws(Errno) -> EntryAnswer {
        try perform("mknod", caller) { state throws(Errno) in
            let inode = Self.make(&state, parent: parent, name: name.copied, mode: mode)
            state.nodes[inode]?.attributes.device = device
            state.record.createdDevice = device
            return try Self.entry(&state, inode)
        }
    }

    func mkdir(
        _ caller: Caller, parent: InodeID, name: FileName, mode: UInt32
    ) throws(Errno) -> EntryAnswer {
        try perform("mkdir", caller) { state throws(Errno) in
            let inode = Self.make(
                &state, parent: parent, name: name.copied, mode: mode & 0o7777 | 0o040000)
            return try Self.entry(&state, inode)
        }
    }

    func symlink(
        _ caller: Caller, target: FileName, parent: InodeID, name: FileName
    ) throws(Errno) -> EntryAnswer {
        try perform("symlink", caller) { state throws(Errno) in
            let inode = Self.make(&state, parent: parent, name: name.copied, mode: 0o120777)
            state.nodes[inode]?.target = target.copied
            state.nodes[inode]?.attributes.size = UInt64(target.bytes.count)
            return try Self.entry(&state, inode)
        }
    }

    func link(
        _ caller: Caller, inode: InodeID, newParent: InodeID, newName: FileName
    ) throws(Errno) -> EntryAnswer {
        try perform("link", caller) { state throws(Errno) in
            Self.add(&state, newParent, newName.copied, inode)
            state.nodes[inode]?.attributes.linkCount += 1
            return try Self.entry(&state, inode)
        }
    }

    func unlink(_ caller: Caller, parent: InodeID, name: FileName) throws(Errno) {
        try perform("unlink", caller) { state throws(Errno) in
            let inode = try Self.find(state, parent, name)
            let wanted = name.copied
            state.nodes[parent]?.entries.removeAll { $0.name == wanted }
            state.nodes[inode]?.attributes.linkCount -= 1
        }
    }

    func rmdir(_ caller: Caller, parent: InodeID, name: FileName) throws(Errno) {
        try perform("rmdir", caller) { state throws(Errno) in
            let inode = try Self.find(state, parent, name)
            guard try Self.node(state, inode).entries.isEmpty else { throw .directoryNotEmpty }
            let wanted = name.copied
            state.nodes[parent]?.entries.removeAll { $0.name == wanted }
        }
    }

    func rename(
        _ caller: Caller, parent: InodeID, name: FileName, newParent: InodeID, newName: FileName,
        flags: RenameFlags
    ) throws(Errno) {
        try perform("rename", caller) { state throws(Errno) in
            state.record.renames.append(flags)
            let inode = try Self.find(state, parent, name)
            let (old, new) = (name.copied, newName.copied)
            if flags.contains(.noReplace),
                state.nodes[newParent]?.entries.contains(where: { $0.name == new }) == true
            {
                throw .exists
            }
            state.nodes[parent]?.entries.removeAll { $0.name == old }
            state.nodes[newParent]?.entries.removeAll { $0.name == new }
            Self.add(&state, newParent, new, inode)
        }
    }

    func readlink(_ caller: Caller, inode: InodeID) throws(Errno) -> [UInt8] {
        try perform("readlink", caller) { state throws(Errno) in
            try Self.node(state, inode).target
        }
    }

    // MARK: Attributes

    func getattr(
        _ caller: Caller, inode: InodeID, handle: HandleID?
    ) throws(Errno) -> AttributesAnswer {
        try perform("getattr", caller) { state throws(Errno) in
            AttributesAnswer(
                attributes: try Self.node(state, inode).attributes,
                timeoutSeconds: state.behaviour.attributesTimeout)
        }
    }

    func setattr(
        _ caller: Caller, inode: InodeID, changes: AttributeChanges, handle: HandleID?
    ) throws(Errno) -> AttributesAnswer {
        try perform("setattr", caller) { state throws(Errno) in
            state.record.changes.append(changes)
            var node = try Self.node(state, inode)
            if let permissions = changes.permissions { node.attributes.permissions = permissions }
            if let userID = changes.userID { node.attributes.userID = userID }
            if let groupID = changes.groupID { node.attributes.groupID = groupID }
            if let size = changes.size {
                node.data = Self.resized(node.data, Int(size))
                node.attributes.size = size
            }
            if case .to(let time) = changes.accessTime { node.attributes.accessTime = time }
            if case .to(let time) = changes.modificationTime {
                node.attributes.modificationTime = time
            }
            state.nodes[inode] = node
            return AttributesAnswer(
                attributes: node.attributes, timeoutSeconds: state.behaviour.attributesTimeout)
        }
    }

    private static func resized(_ data: [UInt8], _ count: Int) -> [UInt8] {
        data.count >= count
            ? Array(data[..<count]) : data + [UInt8](repeating: 0, count: count - data.count)
    }

    func access(_ caller: Caller, inode: InodeID, mask: Int32) throws(Errno) {
        try perform("access", caller) { _ in }
    }

    func statfs(_ caller: Caller, inode: InodeID) throws(Errno) -> VolumeStatistics {
        try perform("statfs", caller) { _ in
            VolumeStatistics(
                fragmentBytes: 4_096, totalBlocks: 1_000, freeBlocks: 600,
                availableBlocks: 500, totalInodes: 500,
                freeInodes: 300, maximumNameBytes: 255)
        }
    }

    // MARK: Extended attributes

    func getxattr(_ caller: Caller, inode: InodeID, name: FileName) throws(Errno) -> [UInt8] {
        try perform("getxattr", caller) { state throws(Errno) in
            guard let value = try Self.node(state, inode).extendedAttributes[name.copied] else {
                throw .noAttribute
            }
            return value
        }
    }

    func listxattr(_ caller: Caller, inode: InodeID) throws(Errno) -> [UInt8] {
        try perform("listxattr", caller) { state throws(Errno) in
            try Self.node(state, inode).extendedAttributes.keys
                .sorted { $0.lexicographicallyPrecedes($1) }.flatMap { $0 + [0] }
        }
    }

    func setxattr(
        _ caller: Caller, inode: InodeID, name: FileName, value: UnsafeRawBufferPointer,
        mode: SetXattrMode
    ) throws(Errno) {
        try perform("setxattr", caller) { state throws(Errno) in
            let isThere = try Self.node(state, inode).extendedAttributes[name.copied] != nil
            if mode == .create, isThere { throw .exists }
            if mode == .replace, !isThere { throw .noAttribute }
            state.nodes[inode]?.extendedAttributes[name.copied] = [UInt8](value)
        }
    }

    func removexattr(_ caller: Caller, inode: InodeID, name: FileName) throws(Errno) {
        try perform("removexattr", caller) { state throws(Errno) in
            guard state.nodes[inode]?.extendedAttributes.removeValue(forKey: name.copied) != nil
            else { throw .noAttribute }
        }
    }

    // MARK: Open files

    func open(_ caller: Caller, inode: InodeID, options: OpenOptions) throws(Errno) -> OpenAnswer {
        try perform("open", caller) { state throws(Errno) in
            state.record.opens.append(options)
            if options.contains(.truncate) {
                state.nodes[inode]?.data = []
                state.nodes[inode]?.attributes.size = 0
            }
            return Self.openAnswer(&state, inode)
        }
    }

    func create(
        _ caller: Caller, parent: InodeID, name: FileName, mode: UInt32, options: OpenOptions
    ) throws(Errno) -> (EntryAnswer, OpenAnswer) {
        try perform("create", caller) { state throws(Errno) in
            state.record.opens.append(options)
            let inode = Self.make(
                &state, parent: parent, name: name.copied, mode: mode & 0o7777 | 0o100000)
            return (try Self.entry(&state, inode), Self.openAnswer(&state, inode))
        }
    }

    func read(
        _ caller: Caller, inode: InodeID, handle: HandleID, offset: FileOffset, count: Int,
        sink: (UnsafeBufferPointer<UnsafeRawBufferPointer>) -> Void
    ) throws(Errno) {
        let (data, pieceBytes) = try perform("read", caller) { state throws(Errno) in
            (try Self.node(state, inode).data, state.behaviour.pieceBytes)
        }
        data.withUnsafeBytes { bytes in
            let start = min(Int(offset.bytes), bytes.count)
            let end = min(start + count, bytes.count)
            let pieces = stride(from: start, to: end, by: pieceBytes).map { position in
                UnsafeRawBufferPointer(
                    rebasing: bytes[position..<min(position + pieceBytes, end)])
            }
            pieces.withUnsafeBufferPointer { sink($0) }
        }
    }

    func write(
        _ caller: Caller, inode: InodeID, handle: HandleID, offset: FileOffset,
        payload: UnsafeRawBufferPointer, options: WriteOptions
    ) throws(Errno) -> Int {
        try perform("write", caller) { state throws(Errno) in
            state.record.writes.append(
                Write(offset: offset.bytes, count: payload.count, options: options))
            let end = Int(offset.bytes) + payload.count
            // Taken out, so that the array is not copied for each write.
            var data = state.nodes[inode]?.data ?? []
            state.nodes[inode]?.data = []
            if data.count < end { data = Self.resized(data, end) }
            data.withUnsafeMutableBytes { bytes in
                UnsafeMutableRawBufferPointer(rebasing: bytes[Int(offset.bytes)..<end])
                    .copyMemory(from: payload)
            }
            state.nodes[inode]?.attributes.size = UInt64(data.count)
            state.nodes[inode]?.data = data
            return payload.count
        }
    }

    func flush(
        _ caller: Caller, inode: InodeID, handle: HandleID, lockOwner: UInt64
    ) throws(Errno) {
        try perform("flush", caller) { $0.record.flushOwners.append(lockOwner) }
    }

    func release(
        _ caller: Caller, inode: InodeID, handle: HandleID, lockOwner: UInt64, flush: Bool,
        releaseFlock: Bool
    ) {
        state.change { state in
            state.record.calls["release", default: 0] += 1
            state.record.releases += 1
            state.nodes[inode]?.openHandles -= 1
        }
    }

    func fsync(
        _ caller: Caller, inode: InodeID, handle: HandleID, dataOnly: Bool
    ) throws(Errno) {
        try perform("fsync", caller) { $0.record.lastDataOnly = dataOnly }
    }

    func fallocate(
        _ caller: Caller, inode: InodeID, handle: HandleID, mode: Int32, offset: FileOffset,
        length: UInt64
    ) throws(Errno) {
        try perform("fallocate", caller) { $0.record.lastFallocate = (mode, offset.bytes, length) }
    }

    /// Data up to the end of the file, as if there were no holes.
    func lseek(
        _ caller: Caller, inode: InodeID, handle: HandleID, offset: FileOffset, whence: SeekWhence
    ) throws(Errno) -> FileOffset {
        try perform("lseek", caller) { state throws(Errno) in
            let size = try Self.node(state, inode).attributes.size
            guard offset.bytes < size else { throw .noSuchDevice }
            return whence == .data ? offset : FileOffset(size)
        }
    }

    func copyFileRange(
        _ caller: Caller, from: FileRangeStart, to: FileRangeStart, length: UInt64
    ) throws(Errno) -> UInt64 {
        try perform("copyFileRange", caller) { state throws(Errno) in
            let source = try Self.node(state, from.inode).data
            let start = min(Int(from.offset.bytes), source.count)
            let bytes = source[start..<min(start + Int(length), source.count)]
            let end = Int(to.offset.bytes) + bytes.count
            var data = try Self.node(state, to.inode).data
            if data.count < end { data = Self.resized(data, end) }
            data.replaceSubrange(Int(to.offset.bytes)..<end, with: bytes)
            state.nodes[to.inode]?.data = data
            state.nodes[to.inode]?.attributes.size = UInt64(data.count)
            return UInt64(bytes.count)
        }
    }

    // MARK: Directories

    func opendir(_ caller: Caller, inode: InodeID) throws(Errno) -> OpenAnswer {
        try perform("opendir", caller) { Self.openAnswer(&$0, inode) }
    }

    func readdir(
        _ caller: Caller, inode: InodeID, handle: HandleID, cookie: UInt64, withAttributes: Bool,
        sink: (DirectoryEntry) -> DirectorySinkAnswer
    ) throws(Errno) {
        try perform(withAttributes ? "readdirplus" : "readdir", caller) { state throws(Errno) in
            let dots: [(name: [UInt8], inode: InodeID, cookie: UInt64)] = [
                ([0x2E], inode, 1), ([0x2E, 0x2E], .root, 2),
            ]
            for item in dots + (try Self.node(state, inode).entries) where item.cookie > cookie {
                let hasAnswer = withAttributes && !state.behaviour.hidesAttributes
                let answer = hasAnswer ? try Self.entry(&state, item.inode) : nil
                let kind = try Self.node(state, item.inode).attributes.kind
                let result = item.name.withUnsafeBytes {
                    sink(
                        DirectoryEntry(
                            name: FileName($0), inode: item.inode, kind: kind, cookie: item.cookie,
                            answer: answer))
                }
                // Counted only when taken, and never for `.` and `..`.
                if hasAnswer, result == .full || item.cookie <= 2 {
                    state.nodes[item.inode]?.kernelReferences -= 1
                }
                if result == .full { return }
            }
        }
    }

    func releasedir(_ caller: Caller, inode: InodeID, handle: HandleID) {
        state.change { state in
            state.record.calls["releasedir", default: 0] += 1
            state.nodes[inode]?.openHandles -= 1
        }
    }

    func fsyncdir(
        _ caller: Caller, inode: InodeID, handle: HandleID, dataOnly: Bool
    ) throws(Errno) {
        try perform("fsyncdir", caller) { $0.record.lastDataOnly = dataOnly }
    }

    // MARK: Life

    func mounted(notifier: any KernelNotifier) { state.change { $0.notifier = notifier } }
    func unmounted() { state.change { $0.record.isUnmounted = true } }
}
