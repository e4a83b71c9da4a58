import FileSystem
import KeyValue
import Logging
import Primitives
import Synchronization
import Telemetry
import Testing

@testable import VolumeStore

/// A formatted volume over a store in memory, with one mount of it.
final class TestVolume {
    let store: any KeyValueStore
    let metrics = Metrics()
    let mount: VolumeStore
    let settings: VolumeSettings

    static let name: VolumeName = {
        guard let name = VolumeName("test") else { preconditionFailure("a name that is allowed") }
        return name
    }()

    init(
        over given: (any KeyValueStore)? = nil, isStarted: Bool = true,
        options: (inout FormatOptions) -> Void = { _ in }
    ) throws {
        let store: any KeyValueStore
        if let given { store = given } else { store = try TestStores.make() }
        self.store = store
        var format = FormatOptions(
            name: Self.name, blockSize: try #require(BlockSize(bytes: 4_096)))
        options(&format)
        settings = try VolumeStore.format(store, format, force: false)
        mount = try Self.mount(store, settings, metrics, isStarted: isStarted)
    }

    deinit { mount.close() }

    static func mount(
        _ store: any KeyValueStore, _ settings: VolumeSettings, _ metrics: Metrics = Metrics(),
        isStarted: Bool = true, processID: Int32 = 1, machine: String = "",
        onChange: @escaping @Sendable (RemoteChange) -> Void = { _ in }
    ) throws -> VolumeStore {
        let mount = try VolumeStore(
            store: store, settings: settings,
            session: SessionDescription(
                host: "here", processID: processID, mountPoint: "/mnt", version: "1",
                machine: machine),
            isReadOnly: false, metrics: metrics, logger: quietLogger)
        if isStarted { mount.start(onChange: onChange) }
        return mount
    }

    /// Another mount of the same volume.
    func second(onChange: @escaping @Sendable (RemoteChange) -> Void = { _ in }) throws
        -> VolumeStore
    {
        try Self.mount(store, settings, onChange: onChange)
    }

    /// How many round trips `body` makes. No other thread uses the store meanwhile, unless it has to.
    func trips(_ body: () throws -> Void) rethrows -> UInt64 {
        let before = store.roundTrips
        try body()
        return store.roundTrips - before
    }

    /// The hash under a key, by field.
    func hash(_ key: Bytes) throws -> [String: String] {
        guard case .pairs(let pairs) = try store.read([.allFields(key: key)])[0] else { return [:] }
        return Dictionary(
            pairs.map {
                (
                    String(decoding: $0.field, as: UTF8.self),
                    String(decoding: $0.value, as: UTF8.self)
                )
            }, uniquingKeysWith: { first, _ in first })
    }

    func inode(_ id: InodeID) throws -> [String: String] { try hash(mount.schema.inode(id)) }

    func file(_ name: String, in parent: InodeID = .root, at time: Int64 = 10) throws -> InodeRecord
    {
        try mount.create(in: parent, name: Bytes(name.utf8), .file(at: time))
    }

    func directory(
        _ name: String, in parent: InodeID = .root, at time: Int64 = 10
    ) throws -> InodeRecord {
        try mount.create(in: parent, name: Bytes(name.utf8), .directory(at: time))
    }
}

let quietLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

extension NewInode {
    static func file(at time: Int64 = 10) -> NewInode {
        NewInode(
            kind: .regular, permissions: 0o644, userID: 7, groupID: 8,
            time: Timestamp(nanoseconds: time))
    }

    static func directory(at time: Int64 = 10) -> NewInode {
        NewInode(
            kind: .directory, permissions: 0o755, userID: 7, groupID: 8,
            time: Timestamp(nanoseconds: time))
    }
}

extension Bytes {
    static func name(_ text: String) -> Bytes { Bytes(text.utf8) }
}

func time(_ nanoseconds: Int64) -> Timestamp { Timestamp(nanoseconds: nanoseconds) }

/// Block memory of a test's own.
final class BlockMemory {
    let bytes: UnsafeMutableRawBufferPointer

    init(_ count: Int, filledWith byte: UInt8 = 0) {
        bytes = .allocate(byteCount: count, alignment: 64)
        bytes.initializeMemory(as: UInt8.self, repeating: byte)
    }

    deinit { bytes.deallocate() }

    func fill(_ range: Range<Int>, with byte: UInt8) {
        UnsafeMutableRawBufferPointer(rebasing: bytes[range]).initializeMemory(
            as: UInt8.self, repeating: byte)
    }
}

/// Waits until `condition` holds; a test that it never does fails.
func eventually(
    _ what: Comment, within milliseconds: Int = 10_000, _ condition: () throws -> Bool
) rethrows {
    let never = Monitor(false)
    let deadline = Deadline.after(milliseconds: milliseconds)
    while try !condition() {
        guard !deadline.hasPassed else {
            Issue.record(what)
            return
        }
        let _: Bool? = never.wait(until: .after(milliseconds: 1)) { $0 ? true : nil }
    }
}

extension VolumeStore {
    /// An entry beside what it names.
    struct ListedEntry {
        var name: [UInt8]
        var inode: InodeID
        var kind: FileKind
        var record: InodeRecord?
    }

    /// A page with what its entries name: as a listing with attributes reads it.
    func page(
        of directory: InodeID, cursor: UInt64 = 0
    ) throws(Errno) -> (entries: [ListedEntry], next: UInt64) {
        let first = try list(
            directory, ListingRequest(cursor: cursor, followsSmallPage: true, inodes: []))
        guard let page = first.page else { throw .ioError }
        let named = page.entries.map { ListedInode(id: $0.inode, kind: $0.kind) }
        let records: [InodeRecord?]
        if let own = page.records {
            records = own
        } else {
            records = try list(
                directory, ListingRequest(cursor: nil, followsSmallPage: false, inodes: named)
            ).records
        }
        let entries = zip(page.entries, records).map { entry, record in
            ListedEntry(name: entry.name, inode: entry.inode, kind: entry.kind, record: record)
        }
        return (entries, page.next)
    }
}
