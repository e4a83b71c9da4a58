import Codecs
import FileSystem
import Foundation
import KeyValue
import Logging
import Primitives
import Redis
import Telemetry
import TestSupport
import VolumeFS
import VolumeStore

/// The store that a test of the volume runs on.
enum StoreKind: String, CaseIterable, Sendable {
    case memory
    case redis
}

/// A store of a test's own: in memory, or a private redis-server.
final class StoreHarness: Sendable {
    let memory: MemoryStore?
    let server: RedisServer?
    let metrics = Metrics()

    init(_ kind: StoreKind = .memory) throws {
        switch kind {
        case .memory:
            memory = MemoryStore()
            server = nil
        case .redis:
            memory = nil
            server = try RedisServer()
        }
    }

    /// Every key that the store holds, sorted.
    func allKeys() throws -> [String] {
        if let memory {
            return memory.allKeys().map { String(decoding: $0, as: UTF8.self) }.sorted()
        }
        guard let server else { preconditionFailure("a harness has one of the two") }
        return try server.cli("--scan").split(separator: "\n").map(String.init).sorted()
    }

    /// A client of the store: the one dict, or a connection of its own.
    func connect() throws -> any KeyValueStore {
        if let memory { return memory }
        guard let server else { preconditionFailure("a harness has one of the two") }
        return try RedisStore(
            endpoint: RedisEndpoint(.unix(path: server.path)), options: RedisOptions(),
            metrics: metrics,
            logger: Logger(label: "test"))
    }
}

/// A formatted volume with one mount, called as the FUSE server would.
final class VolumeHarness {
    let storeHarness: StoreHarness
    private(set) var keyValue: CountingStore
    /// What the last measured body called, for the message of a failure.
    private(set) var lastCalls: [String] = []
    let settings: VolumeSettings
    let metrics = Metrics()
    private(set) var volume: VolumeFileSystem
    private(set) var volumeStore: VolumeStore
    private let options: VolumeOptions
    private let delays: StoreDelays?
    static let root = Caller(userID: 0, groupID: 0, processID: 1, umask: 0)
    var caller: Caller { Self.root }

    init(
        store kind: StoreKind = .memory, codec: Codec = .none, blockSize: Int = 124 * 1_024,
        options: VolumeOptions = VolumeOptions(), delays: StoreDelays? = nil
    ) throws {
        let storeHarness = try StoreHarness(kind)
        self.storeHarness = storeHarness
        self.options = options
        self.delays = delays
        keyValue = CountingStore(try storeHarness.connect(), delays: delays)
        guard let name = VolumeName("test"), let size = BlockSize(bytes: blockSize) else {
            preconditionFailure("the test's own constants are wrong")
        }
        settings = try VolumeStore.format(
            keyValue, FormatOptions(name: name, blockSize: size, codec: codec), force: false)
        (volume, volumeStore) = try Self.mount(keyValue, settings, options, metrics)
    }

    private static func mount(
        _ store: any KeyValueStore, _ settings: VolumeSettings, _ options: VolumeOptions,
        _ metrics: Metrics
    ) throws -> (VolumeFileSystem, VolumeStore) {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let volumeStore = try VolumeStore(
            store: store, settings: settings,
            session: SessionDescription(
                host: "test", processID: 1, mountPoint: "/test", version: "test"),
            isReadOnly: options.isReadOnly, metrics: metrics, logger: logger)
        let volume = VolumeFileSystem(
            store: volumeStore, options: options, metrics: metrics, logger: logger)
        volume.mounted(notifier: SilentNotifier())
        return (volume, volumeStore)
    }

    /// A second mount of the same volume.
    func secondMount() throws -> VolumeFileSystem {
        try Self.mount(try storeHarness.connect(), settings, options, Metrics()).0
    }

    func unmount() { volume.unmounted() }

    /// Unmounts and mounts again; everything that is only in memory is gone.
    func remount() throws {
        volume.unmounted()
        keyValue = CountingStore(try storeHarness.connect(), delays: delays)
        (volume, volumeStore) = try Self.mount(keyValue, settings, options, metrics)
    }

    /// How many round trips this thread makes in `body`. Waits first until the mount knows that it is
    /// alone.
    func trips(_ body: () throws -> Void) rethrows -> UInt64 {
        while !volumeStore.isAlone { usleep(1_000) }
        let (trips, calls) = try keyValue.measure(body)
        lastCalls = calls
        return trips
    }

    /// Waits until the reaper has cleared what a cut of the file left behind its end.
    func awaitClearTail(_ inode: InodeID) throws {
        while try volumeStore.records(of: [inode])[0]?.hasStaleTail == true { usleep(1_000) }
    }
}

final class SilentNotifier: KernelNotifier {
    func invalidateInode(_ inode: InodeID, range: Range<UInt64>?) {}
    func invalidateEntry(parent: InodeID, name: [UInt8]) {}
}

/// The operations with Swift strings and arrays, for tests.
extension VolumeFileSystem {
    static var someone: Caller { VolumeHarness.root }

    func withName<Result>(_ name: String, _ body: (FileName) throws -> Result) throws -> Result {
        try [UInt8](name.utf8).withUnsafeBytes { try body(FileName($0)) }
    }

    func lookup(_ name: String, in parent: InodeID = .root) throws -> Attributes {
        try withName(name) { name in
            try lookup(Self.someone, parent: parent, name: name).attributes
        }
    }

    func create(
        _ name: String, in parent: InodeID = .root, mode: UInt32 = 0o644,
        options: OpenOptions = [.read, .write, .exclusive]
    ) throws -> (InodeID, HandleID) {
        try withName(name) { name in
            let (entry, open) = try create(
                Self.someone, parent: parent, name: name, mode: mode, options: options)
            return (entry.attributes.inode, open.handle)
        }
    }

    func mkdir(
        _ name: String, in parent: InodeID = .root, mode: UInt32 = 0o755
    ) throws -> InodeID {
        try withName(name) { name in
            try mkdir(Self.someone, parent: parent, name: name, mode: mode).attributes.inode
        }
    }

    func symlink(_ target: String, _ name: String, in parent: InodeID = .root) throws -> InodeID {
        try withName(target) { target in
            try withName(name) { name in
                try symlink(Self.someone, target: target, parent: parent, name: name)
                    .attributes.inode
            }
        }
    }

    func link(_ inode: InodeID, _ name: String, in parent: InodeID = .root) throws {
        try withName(name) { name in
            _ = try link(Self.someone, inode: inode, newParent: parent, newName: name)
        }
    }

    func unlink(_ name: String, in parent: InodeID = .root) throws {
        try withName(name) { name in
            try unlink(Self.someone, parent: parent, name: name)
        }
    }

    func rmdir(_ name: String, in parent: InodeID = .root) throws {
        try withName(name) { name in
            try rmdir(Self.someone, parent: parent, name: name)
        }
    }

    func rename(
        _ name: String, in parent: InodeID = .root, to newName: String,
        into newParent: InodeID = .root, flags: RenameFlags = []
    ) throws {
        try withName(name) { name in
            try withName(newName) { newName in
                try rename(
                    Self.someone, parent: parent, name: name, newParent: newParent,
                    newName: newName, flags: flags)
            }
        }
    }

    func attributes(_ inode: InodeID) throws -> Attributes {
        try getattr(Self.someone, inode: inode, handle: nil).attributes
    }

    func open(_ inode: InodeID, _ options: OpenOptions = [.read, .write]) throws -> HandleID {
        try open(Self.someone, inode: inode, options: options).handle
    }

    func write(
        _ bytes: [UInt8], to inode: InodeID, _ handle: HandleID, at offset: UInt64
    ) throws {
        let written = try bytes.withUnsafeBytes { payload in
            try write(
                Self.someone, inode: inode, handle: handle, offset: FileOffset(offset),
                payload: payload, options: [])
        }
        precondition(written == bytes.count, "a short write")
    }

    func read(
        _ inode: InodeID, _ handle: HandleID, at offset: UInt64, count: Int
    ) throws -> [UInt8] {
        var result: [UInt8] = []
        try read(
            Self.someone, inode: inode, handle: handle, offset: FileOffset(offset), count: count
        ) { pieces in
            for piece in pieces { result.append(contentsOf: piece) }
        }
        return result
    }

    func truncate(_ inode: InodeID, to size: UInt64) throws {
        var changes = AttributeChanges()
        changes.size = size
        _ = try setattr(Self.someone, inode: inode, changes: changes, handle: nil)
    }

    /// fallocate(2) as root.
    func allocate(
        _ inode: InodeID, _ handle: HandleID, mode: Int32, at offset: UInt64, count: UInt64
    ) throws {
        try fallocate(
            Self.someone, inode: inode, handle: handle, mode: mode, offset: FileOffset(offset),
            length: count)
    }

    /// copy_file_range(2), once.
    func copy(
        _ from: (inode: InodeID, handle: HandleID, offset: UInt64),
        _ to: (inode: InodeID, handle: HandleID, offset: UInt64), count: UInt64
    ) throws -> Int {
        Int(
            try copyFileRange(
                Self.someone,
                from: FileRangeStart(
                    inode: from.inode, handle: from.handle, offset: FileOffset(from.offset)),
                to: FileRangeStart(
                    inode: to.inode, handle: to.handle, offset: FileOffset(to.offset)),
                length: count))
    }

    /// SEEK_DATA or SEEK_HOLE; `nil` for ENXIO.
    func seek(
        _ whence: SeekWhence, _ inode: InodeID, _ handle: HandleID, from offset: UInt64
    ) throws -> UInt64? {
        do throws(Errno) {
            return try lseek(
                Self.someone, inode: inode, handle: handle, offset: FileOffset(offset),
                whence: whence
            ).bytes
        } catch .noSuchDevice {
            return nil
        }
    }

    func fsync(_ inode: InodeID, _ handle: HandleID) throws {
        try fsync(Self.someone, inode: inode, handle: handle, dataOnly: false)
    }

    /// close(2) of the only descriptor: FLUSH, then RELEASE.
    func close(_ inode: InodeID, _ handle: HandleID) throws {
        defer {
            release(
                Self.someone, inode: inode, handle: handle, lockOwner: 0, flush: false,
                releaseFlock: false)
        }
        try flush(Self.someone, inode: inode, handle: handle, lockOwner: 0)
    }

    /// The names of a directory, without the dots, as one handle lists them.
    func list(
        _ directory: InodeID = .root, entriesPerCall: Int = 100, withAttributes: Bool = true
    ) throws -> [String] {
        let handle = try opendir(Self.someone, inode: directory).handle
        defer { releasedir(Self.someone, inode: directory, handle: handle) }
        var names: [String] = []
        var cookie: UInt64 = 0
        while true {
            var delivered = 0
            try readdir(
                Self.someone, inode: directory, handle: handle, cookie: cookie,
                withAttributes: withAttributes
            ) { entry in
                guard delivered < entriesPerCall else { return .full }
                delivered += 1
                cookie = entry.cookie
                names.append(String(decoding: entry.name.bytes, as: UTF8.self))
                return .taken
            }
            if delivered == 0 { break }
        }
        return names.filter { $0 != "." && $0 != ".." }
    }
}
