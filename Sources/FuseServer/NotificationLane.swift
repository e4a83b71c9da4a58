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
        /// Of libfuse, while the lane runs.
        var session: OpaquePointer?
        /// The thread has taken something out that it has not sent yet.
        var isSending = false
        var afterMarker: [UInt64: @Sendable () -> Void] = [:]
        var lastMarker: UInt64 = 0
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
            state.session = session
            state.thread = WorkerThread(name: "apusfs-notify\(number)") { [self] in
                run(session)
            }
        }
    }

    func stop() {
        let thread = state.change { state in
            state.isRunning = false
            state.session = nil
            defer { state.thread = nil }
            return state.thread
        }
        thread?.join()
        let waiting = state.withLock { state in
            defer { state.afterMarker = [:] }
            return state.afterMarker.values.map { $0 }
        }
        for body in waiting { body() }
    }

    /// Something waits, or is being sent.
    var isBusy: Bool {
        state.withLock { $0.isRunning && ($0.isSending || $0.queue.count > 0) }
    }

    /// Far from full: no thread that adds one now has to wait.
    var hasRoom: Bool { state.withLock { $0.queue.count < Self.capacity / 2 } }

    /// Sends one at once, in the calling thread.
    func expireAttributes(_ inode: InodeID) {
        // SAFETY: called from within a request, so the session lives.
        guard let session = state.withLock({ $0.session }) else { return }
        send(.attributes(inode), session)
    }

    /// Calls `body` once all that waits now was sent; in the calling thread when nothing does.
    func afterAll(_ body: @escaping @Sendable () -> Void) {
        let isNow = state.change { state in
            guard state.isRunning, state.isSending || state.queue.count > 0 else { return true }
            state.lastMarker += 1
            state.afterMarker[state.lastMarker] = body
            state.queue.add(marker: state.lastMarker)
            return false
        }
        if isNow { body() }
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
                let next = state.queue.next()
                state.isSending = next != nil
                return next.map { .send($0, wasFull: wasFull) }
            }
            guard case .send(let notification, let wasFull) = step else { return }
            if wasFull { state.change { _ in } }
            if case .marker(let number) = notification {
                state.withLock { $0.afterMarker.removeValue(forKey: number) }?()
            } else {
                send(notification, session)
            }
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
            case .end(let inode, let end, let lastByte):
                Self.storeLastByte(of: inode, end, lastByte, session)
            case .allEntries: Self.raiseEpoch(session)
            case .marker: 0
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

    /// FUSE_NOTIFY_STORE (fuse_lowlevel_notify_store), which raises the size: of one byte, into a page that
    /// is not complete by that, unless the file ends with its first one.
    private static func storeLastByte(
        of inode: InodeID, _ end: UInt64, _ byte: UInt8, _ session: OpaquePointer
    ) -> Int32 {
        var byte = byte
        return withUnsafeMutableBytes(of: &byte) { bytes in
            // One memory buffer; the other fields are for pieces of descriptors.
            var piece = fuse_bufvec()
            piece.count = 1
            piece.buf.size = 1
            piece.buf.mem = bytes.baseAddress
            return fuse_lowlevel_notify_store(
                session, inode.rawValue, off_t(clamping: end - 1), &piece, fuse_buf_copy_flags(0))
        }
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
