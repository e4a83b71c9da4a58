// An existing Redis dataset as files: names and types are Redis', nothing of ours is stored there.
//
// It never sees FUSE, nor anything of a volume. Who calls: FuseServer through `FileSystemOperations`, tests
// directly. docs/KEYSPACE.md says what it promises to people.
//
// Invariants:
//  1. No value leaves the server merely to learn a size, KEYS is never used, and no command looks at more than
//     a thousand keys or elements at a time.
//  2. What a mount keeps of the dataset is bounded by the limits in `KeyspaceOptions`, not by the dataset.
//  3. What others have stored while a value was edited here is not overwritten, unless that was asked for.
//  4. An expiry outlives every edit.
//  5. Nothing is held while a reply is delivered, nor while the kernel is told to drop something.
//
// Lock ranks, outermost first: one edit (`EditSession`) or one listing, held across round trips > shard of the
// inode table > one inode > everything else (leaves).

public import FileSystem
import KeyValue
public import Logging
import Primitives
public import Redis
import Synchronization
public import Telemetry

/// One mounted keyspace.
public final class KeyspaceFileSystem: FileSystemOperations {
    let store: KeyStore
    let options: KeyspaceOptions
    let naming: KeyspaceNaming
    let metrics: Metrics
    let logger: Logger

    let inodes: KeyInodeTable
    let index: DirectoryIndex
    let sessions: SessionPool
    let files = HandleTable<OpenKeyFile>()
    let directories = HandleTable<OpenKeyDirectory>()
    let remembered = RememberedAttributes()
    let tunnel = KeyTunnel()
    let own: OwnChanges
    let textSizes = TextSizes()
    /// Values that are open for writing. Rank: above one inode, held for no call.
    let edits = Locked<[Place: OpenEdit]>([:])
    let notifier = Locked<(any KernelNotifier)?>(nil)
    /// Times that nobody knows.
    let mountTime = Timestamp.now
    private let lostFiles = Atomic<Int>(0)
    let live = Locked<LiveView?>(nil)

    /// An edit and by how many handles it is used.
    struct OpenEdit {
        var session: EditSession
        var handles: Int
    }

    /// How many files had changes that `unmounted` could not store.
    public var lostFileCount: Int { lostFiles.load(ordering: .relaxed) }

    /// Nothing runs in the background until `mounted` is called.
    public init(
        redis: RedisStore, options: KeyspaceOptions, metrics: Metrics, logger: Logger
    ) {
        self.options = options
        self.metrics = metrics
        self.logger = logger
        store = KeyStore(redis: redis, metrics: metrics, logger: logger)
        naming = KeyspaceNaming(options)
        inodes = KeyInodeTable(root: naming.root)
        index = DirectoryIndex(naming: naming, store: store, options: options, logger: logger)
        sessions = SessionPool(store: store)
        // What is known of a key is doubted before the announcement of the server comes back.
        own = OwnChanges { [index, textSizes] key in
            index.note(key)
            textSizes.forget(key)
        }
    }

    public var negativeEntryTimeoutSeconds: Double { 0 }

    public func mounted(notifier: any KernelNotifier) {
        self.notifier.withLock { $0 = notifier }
        let view = LiveView(self)
        live.withLock { $0 = view }
        view.start()
    }

    public func unmounted() {
        live.withLock { live in
            defer { live = nil }
            return live
        }?.stop()
        for edit in edits.withLock({ Array($0.values) }) {
            do throws(Errno) {
                try edit.session.flush()
            } catch {
                // What a close has failed with is known, even if its last descriptor is not released yet.
                if !edit.session.wasTold { lostFiles.wrappingAdd(1, ordering: .relaxed) }
                edit.session.end()
            }
        }
        notifier.withLock { $0 = nil }
        store.redis.close()
    }

    /// How changes of others are learned now, for people: `tracking`, `notifications` or `none`.
    public var watching: String { live.withLock { $0?.description ?? "none" } }

    /// Throws EROFS on a read-only mount: the first line of each operation that changes something.
    func requireWritable() throws(Errno) {
        if options.isReadOnly { throw .readOnlyFileSystem }
    }

    /// The kernel passes names of up to 1,024 bytes through.
    func checked(_ name: FileName) throws(Errno) -> Bytes {
        guard name.bytes.count <= FileName.maximumByteCount else { throw .nameTooLong }
        guard !name.bytes.isEmpty else { throw .noEntry }
        return name.copied
    }
}
