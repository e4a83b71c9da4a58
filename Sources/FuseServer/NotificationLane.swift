import CFuse
import FileSystem
import Glibc
import Logging
import Primitives

/// A queue of notifications and the thread that sends them.
final class NotificationLane: @unchecked Sendable {
    private struct State {
        var queue = InvalidationQueue(capacity: NotificationLane.capacity)
        var isRunning = false
        var thread: WorkerThread?
    }

    /// Some megabytes of names at most.
    private static let capacity = 16_384

    private let number: Int
    private let logger: Logger
    /// Rank: below every lock of a filesystem; never held while sending.
    private let state = Monitor(State())

    init(number: Int, logger: Logger) {
        self.number = number
        self.logger = logger
    }

    /// `add` says whether the queue took something in; while it did not, this waits. Nothing happens
    /// unless the lane runs.
    func add(_ add: (inout InvalidationQueue) -> Bool) {
        while true {
            let isDone = state.change { !$0.isRunning || add(&$0.queue) }
            if isDone { return }
            _ = state.wait { state in
                !state.isRunning || state.queue.count < state.queue.capacity ? () : nil
            }
        }
    }

    func start(session: OpaquePointer, canInvalidateAllEntries: Bool) {
        // SAFETY: libfuse's notify calls are made for any thread; `stop` joins before the session ends.
        nonisolated(unsafe) let session = session
        state.change { state in
            state.queue.canInvalidateAllEntries = canInvalidateAllEntries
            state.isRunning = true
            state.thread = WorkerThread(name: "apusfs-notify\(number)") { [self] in
                run(session)
            }
        }
    }

    func stop() {
        let thread = state.change { state in
            state.isRunning = false
            defer { state.thread = nil }
            return state.thread
        }
        thread?.join()
    }

    private enum Step {
        case send(InvalidationQueue.Notification, wasFull: Bool)
        case end
    }

    private func run(_ session: OpaquePointer) {
        while true {
            let step: Step? = state.wait { state in
                guard state.isRunning else { return .end }
                let wasFull = state.queue.count >= state.queue.capacity
                return state.queue.next().map { .send($0, wasFull: wasFull) }
            }
            guard case .send(let notification, let wasFull) = step else { return }
            if wasFull { state.change { _ in } }
            send(notification, session)
        }
    }

    private func send(
        _ notification: InvalidationQueue.Notification, _ session: OpaquePointer
    ) {
        let result: Int32 =
            switch notification {
            case .attributes(let inode):
                // A negative offset: no pages (fuse_lowlevel.h).
                fuse_lowlevel_notify_inval_inode(session, inode.rawValue, -1, 0)
            case .pages(let inode, let range):
                fuse_lowlevel_notify_inval_inode(
                    session, inode.rawValue, Int(clamping: range.lowerBound), Self.length(range))
            case .entry(let parent, let name):
                // libfuse sends the NUL behind the name too.
                (name + [0]).withUnsafeBytes { bytes in
                    fuse_lowlevel_notify_inval_entry(
                        session, parent.rawValue,
                        bytes.baseAddress?.assumingMemoryBound(to: CChar.self), name.count)
                }
            case .allEntries: Self.raiseEpoch(session)
            }
        // ENOENT: the kernel does not know the inode or the name, which is as good.
        if result != 0, result != -ENOENT {
            logger.debug("notification \(notification): \(Errno(rawValue: -result))")
        }
    }

    /// The kernel takes 0 as "to the end of the file".
    private static func length(_ range: Range<UInt64>) -> Int {
        range.upperBound > UInt64(Int64.max) ? 0 : range.count
    }

    /// FUSE_NOTIFY_INC_EPOCH, which libfuse 3.14 has no call for.
    private static let incrementEpoch: Int32 = 8

    private static func raiseEpoch(_ session: OpaquePointer) -> Int32 {
        var header = fuse_out_header()
        header.len = UInt32(MemoryLayout<fuse_out_header>.size)
        header.error = incrementEpoch
        let written = write(
            fuse_session_fd(session), &header, MemoryLayout<fuse_out_header>.size)
        return written < 0 ? -errno : 0
    }
}
