import FileSystem
import Logging
import Primitives
import Synchronization

/// Tells the kernel what to drop, from threads of its own: a notification takes locks in the kernel that a
/// waiting request may hold, so it must never be sent by a thread that a request waits for.
///
/// Each inode (for an entry: its directory) has its lane. What concerns it stays in order, and a lane that
/// waits in the kernel does not hold up the others.
final class QueuedNotifier: KernelNotifier {
    private static let laneCount = 2

    private let lanes: [NotificationLane]
    private let knowsEpochs = Atomic(false)

    init(logger: Logger) {
        lanes = (0..<Self.laneCount).map { NotificationLane(number: $0, logger: logger) }
    }

    /// Before `start` the kernel caches nothing, and after `stop` there is nobody to tell.
    func start(session: OpaquePointer, negotiated: Negotiated?) {
        let isCapable = negotiated?.canInvalidateAllEntries ?? false
        for lane in lanes { lane.start(session: session, canInvalidateAllEntries: isCapable) }
        knowsEpochs.store(isCapable, ordering: .releasing)
    }

    /// What still waits is dropped. Returns when the last notification was sent.
    func stop() {
        knowsEpochs.store(false, ordering: .releasing)
        for lane in lanes { lane.stop() }
    }

    func invalidateInode(_ inode: InodeID, range: Range<UInt64>?) {
        lane(of: inode).add { $0.add(inode: inode, pages: range ?? 0..<0) }
    }

    func invalidateInodeOfRequest(_ inode: InodeID, range: Range<UInt64>) {
        lane(of: inode).add { $0.add(inode: inode, pages: range, isOfRequest: true) }
    }

    func extend(_ inode: InodeID, to end: UInt64, lastByte: UInt8) {
        lane(of: inode).add { queue in
            queue.add(inode: inode, end: end, lastByte: lastByte)
            return true
        }
    }

    func invalidateEntry(parent: InodeID, name: [UInt8]) {
        lane(of: parent).add { $0.add(entryOf: parent, name: name) }
    }

    var canInvalidateAllEntries: Bool { knowsEpochs.load(ordering: .acquiring) }

    func expireAttributes(_ inode: InodeID) { lanes[0].expireAttributes(inode) }

    /// Whether `afterInvalidations` would have to wait.
    func waits(for inode: InodeID) -> Bool { lane(of: inode).isBusy }

    func hasRoom(for inode: InodeID) -> Bool { lane(of: inode).hasRoom }

    func afterInvalidations(of inode: InodeID, _ body: @escaping @Sendable () -> Void) {
        lane(of: inode).afterAll(body)
    }

    func invalidateAllEntries() -> Bool {
        guard canInvalidateAllEntries else { return false }
        lanes[0].add { $0.addAllEntries() }
        return true
    }

    private func lane(of inode: InodeID) -> NotificationLane {
        lanes[Int(truncatingIfNeeded: inode.rawValue) & (Self.laneCount - 1)]
    }
}
