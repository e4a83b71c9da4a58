import CFuse
import CUring
import Glibc
import Logging
import Primitives
import Synchronization

/// A thread that serves one CPU's requests over io_uring, on that CPU: the program that asked and the thread
/// that answers then change places without waking another CPU.
///
/// It offers one entry, so a handler that waits for the store holds up nobody: several threads serve each
/// CPU, and the kernel takes the one that came back last. An entry whose answer is deferred is replaced; it is
/// offered again as its answer is handed over (the kernel has one command for both), so a thread has as many
/// entries as answers were ever deferred at the same time, and one more.
final class RingThread: @unchecked Sendable {
    /// Of completions that are no entry's.
    private static let event: UInt64 = 0
    /// Commands that can be under way: the entry, the event, and entries in the place of deferred ones.
    static let commands: UInt32 = 64

    private unowned let transport: RingTransport
    private let cpu: UInt16
    // SAFETY: made in init, used by the thread, freed in deinit after it was joined.
    private let ring: OpaquePointer
    /// eventfd(2): deferred answers have come, or the thread shall end.
    private let signal: Int32
    private var entries: [RingEntry] = []
    /// Entries that the kernel has, to put requests into. For the thread itself.
    private var offered = 0
    /// An answer waits to be handed over. For the thread itself.
    private var hasAnswers = false
    /// How many there are.
    let entryCount = Atomic<Int>(0)
    let requests = Atomic<UInt64>(0)
    private let inbox = Locked(Inbox())

    private struct Inbox {
        var answered: [RingEntry] = []
        var mustEnd = false
    }

    init(_ transport: RingTransport, cpu: UInt16, device: Int32) throws(Errno) {
        var error: Int32 = 0
        guard let ring = apusfs_ring_create(Self.commands, device, cpu, &error) else {
            throw Errno(rawValue: error)
        }
        let signal = apusfs_event_create()
        guard signal >= 0 else {
            apusfs_ring_free(ring)
            throw Errno(rawValue: -signal)
        }
        self.transport = transport
        self.cpu = cpu
        self.ring = ring
        self.signal = signal
    }

    deinit {
        apusfs_ring_free(ring)
        close(signal)
    }

    // MARK: Called by any thread

    /// The answer comes from another thread.
    func defers(_ entry: RingEntry) { transport.server.deferredAnswers.add(entry) }

    /// An answer has been put into an entry of this thread.
    func send(_ entry: RingEntry) {
        inbox.withLock { $0.answered.append(entry) }
        apusfs_event_signal(signal)
    }

    func end() {
        inbox.withLock { $0.mustEnd = true }
        apusfs_event_signal(signal)
    }

    // MARK: The thread

    /// Serves until the mount is gone. Returns why it ended, `nil` for an orderly end.
    func run() -> Errno? {
        // A CPU that is not up, or not ours to use: its few requests are served from anywhere.
        _ = apusfs_pin_thread(UInt32(cpu))
        let worker = transport.server.ownWorker()
        let begun = apusfs_ring_begin(ring)
        guard begun == 0 else { return Errno(rawValue: begun) }
        guard let error = offerEntry() else {
            _ = apusfs_ring_watch(ring, signal, Self.event)
            return loop(worker)
        }
        return error
    }

    private func loop(_ worker: UnsafeMutablePointer<Worker>) -> Errno? {
        while true {
            hasAnswers = false
            let error = apusfs_ring_wait(ring)
            guard error == 0 else { return Errno(rawValue: error) }
            var data: UInt64 = 0
            var result: Int32 = 0
            while apusfs_ring_take(ring, &data, &result) == 1 {
                if data == Self.event {
                    if case .end(let error) = readInbox() { return error }
                    continue
                }
                guard result >= 0 else {
                    return result == -ENOTCONN || result == -ECONNABORTED
                        ? nil : Errno(rawValue: -result)
                }
                guard let place = UnsafeRawPointer(bitPattern: UInt(data)) else { continue }
                // SAFETY: `entries` keeps every entry that was offered.
                let entry = Unmanaged<RingEntry>.fromOpaque(place).takeUnretainedValue()
                offered -= 1
                if let error = serve(entry, worker) { return error }
            }
        }
    }

    private func serve(
        _ entry: RingEntry, _ worker: UnsafeMutablePointer<Worker>
    ) -> Errno? {
        if hasAnswers {
            // Whoever waits for them does not wait for the next request, too.
            hasAnswers = false
            let error = apusfs_ring_submit(ring)
            guard error == 0 else { return Errno(rawValue: error) }
        }
        guard let message = entry.begin() else { return .ioError }
        requests.wrappingAdd(1, ordering: .relaxed)
        let request = RawRequest(UnsafeRawBufferPointer(message))
        worker.pointee.opcode = request.opcode
        worker.pointee.clearsPrivileges = request.clearsPrivileges
        worker.pointee.entry = Unmanaged.passUnretained(entry)
        var buffer = fuse_buf()
        buffer.size = message.count
        buffer.mem = message.baseAddress
        buffer.fd = -1
        fuse_session_process_buf(transport.session, &buffer)
        worker.pointee.entry = nil
        // Deferred: it is not this thread's any more, and may have been answered already.
        if worker.pointee.hasDeferred {
            worker.pointee.hasDeferred = false
            return offered > 0 ? nil : offerEntry()
        }
        if !entry.isAnswered {
            transport.server.logger.error("a request of kind \(request.opcode) had no answer")
            _ = entry.answer(-EIO, UnsafeBufferPointer(start: nil, count: 0))
        }
        return give(entry)
    }

    /// Hands the answer over with the next wait.
    private func give(_ entry: RingEntry) -> Errno? {
        let error = apusfs_ring_answer(ring, entry.commitID, entry.completionData)
        guard error == 0 else { return Errno(rawValue: error) }
        offered += 1
        hasAnswers = true
        return nil
    }

    private func offerEntry() -> Errno? {
        guard let entry = RingEntry(owner: self, payloadBytes: transport.payloadBytes) else {
            return .outOfMemory
        }
        entries.append(entry)
        entryCount.wrappingAdd(1, ordering: .relaxed)
        let error = entry.offer(on: ring)
        guard error == 0 else { return Errno(rawValue: error) }
        offered += 1
        return nil
    }

    private enum Turn {
        case goesOn
        /// `nil`: in order.
        case end(Errno?)
    }

    private func readInbox() -> Turn {
        apusfs_event_clear(signal)
        let (answered, mustEnd) = inbox.withLock { inbox in
            defer { inbox.answered = [] }
            return (inbox.answered, inbox.mustEnd)
        }
        for entry in answered {
            if let error = give(entry) { return .end(error) }
        }
        if mustEnd { return .end(nil) }
        let error = apusfs_ring_watch(ring, signal, Self.event)
        return error == 0 ? .goesOn : .end(Errno(rawValue: error))
    }
}
