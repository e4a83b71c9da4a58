// Serves a mounted filesystem to the kernel through libfuse's low-level API.
//
// For: mount, session loop, worker threads, decoding, answers, splice, invalidation of the kernel's caches.
// Never: knows what a volume or Redis is, caches anything, or decides what a filesystem answers.
//
// Invariants:
//  1. Each request is answered exactly once, on the worker that received it, with no lock of this module
//     held.
//  2. A kernel reference or a handle in an answer that the kernel did not take is given back. (Over io_uring
//     it takes every answer until the connection ends, and then nothing is held any more.)
//  3. Bytes that a filesystem lends are not touched after the call that lent them.
//  4. A lookup, getattr, read or write allocates nothing here (libfuse allocates its request).
//  5. The answer to INIT has no flag that the kernel did not offer (docs/FUSE.md).
//
// Read on: OperationTable (what arrives), Handlers, Request (what goes back), Transport (the kernel's side).

import CFuse
import CLinux
public import FileSystem
import Glibc
public import Logging
import Primitives
import Synchronization
public import Telemetry

/// One mount of one filesystem: `mount` once, then `serve` once.
public final class FuseServer: @unchecked Sendable {
    let fileSystem: any FileSystemOperations
    let options: FuseOptions
    let metrics: Metrics
    let logger: Logger

    /// No lock: written in `mount`, before workers exist, and in `serve`, after they are gone.
    private var mounted: MountedSession?
    private let lifecycle = Monitor(Lifecycle())
    /// Rank: below every lock of a filesystem; held for no call.
    private let workers = Locked<[UnsafeMutablePointer<Worker>]>([])
    let notifier: QueuedNotifier
    let pendingLocks = PendingLocks()
    let deferredAnswers = DeferredAnswers()
    /// No lock: written while INIT is answered and after the session's loop has ended.
    private var rings: RingTransport?
    private let wasAborted = Atomic(false)
    /// With `splice`: what went through pipes, large or small.
    let splicedRequests = Atomic<UInt64>(0)
    let splicedReplies = Atomic<UInt64>(0)

    public init(
        fileSystem: any FileSystemOperations, options: FuseOptions, metrics: Metrics,
        logger: Logger
    ) {
        self.fileSystem = fileSystem
        self.options = options
        self.metrics = metrics
        self.logger = logger
        notifier = QueuedNotifier(logger: logger)
    }

    deinit {
        // Mounted, but never served.
        if let mounted {
            mounted.place.detach(logger: logger)
            mounted.destroy()
        }
        workers.withLock { workers in workers.forEach(Worker.free) }
    }

    /// What the INIT exchange settled; `nil` before it.
    public var negotiated: Negotiated? { lifecycle.withLock { $0.negotiated } }

    /// How many requests came over io_uring. Before the mount ends.
    var ringRequests: UInt64 { rings?.requests ?? 0 }
    /// Entries of all rings.
    var ringEntries: Int { rings?.entryCount ?? 0 }

    /// Mounts at `path`. From now on programs see the mount and wait for `serve`.
    public func mount(at path: String) throws(FuseError) {
        guard lifecycle.withLock({ $0.begin(.mounted) }) else { throw .outOfOrder("mount") }
        switch options.transport {
        case .uring: try RingTransport.require()
        case .auto where !options.splice:
            if RingTransport.switchOn() == .isOn {
                logger.notice("switched on FUSE over io_uring (enable_uring of the module fuse)")
            }
        case .auto, .device: break
        }
        let session = try MountedSession(
            at: path, options: options, server: self, logger: logger)
        mounted = session
        lifecycle.withLock { $0.place = session.place }
    }

    /// Answers requests until the mount is gone: by `requestStop`, by umount(8), or by an abort of the
    /// connection. Everything is stored and nothing is mounted when it returns.
    ///
    /// `onReady` is called on a thread of its own once the mount answers.
    public func serve(onReady: @escaping @Sendable () -> Void) throws(FuseError) {
        guard let mounted, lifecycle.withLock({ $0.begin(.serving) }) else {
            throw .outOfOrder("serve")
        }
        lifecycle.withLock { $0.onReady = onReady }
        let flusher = apusfs_become_io_flusher()
        if flusher != 0 {
            logger.debug("PR_SET_IO_FLUSHER: \(Errno(rawValue: flusher))")
        }
        Interruption.install { KilledCaller.isServed() }
        let guardian = mounted.place.startGuard(logger: logger)
        let result = mounted.runLoop(options)
        finish(mounted)
        if let guardian { apusfs_end_guard(guardian) }
        if wasAborted.load(ordering: .acquiring) {
            logger.warning("the connection of \(mounted.place.path) was aborted")
        }
        if lifecycle.withLock({ $0.negotiated }) == nil, result != 0 { throw .negotiationFailed }
        if result < 0 { throw .loopFailed(Errno(rawValue: -result)) }
    }

    /// Asks for a clean unmount, from any thread but a signal handler; returns at once. Programs that hold
    /// files open keep the mount for `stopGraceMilliseconds`, then it is taken from them; what they wrote
    /// is stored either way.
    public func requestStop() {
        guard let place = lifecycle.withLock({ $0.requestStop() }) else { return }
        let stopper = WorkerThread(name: "apusfs-stop") { [self] in stop(place) }
        lifecycle.withLock { $0.helpers.append(stopper) }
    }

    // MARK: The end

    private func finish(_ mounted: MountedSession) {
        lifecycle.change { $0.hasLoopEnded = true }
        let helpers = lifecycle.withLock { state in
            defer { state.helpers = [] }
            return state.helpers
        }
        helpers.forEach { $0.join() }
        // Gone already unless the loop ended by itself (an abort, a failed INIT). Aborts the connection,
        // so that a notifier that waits in the kernel comes back.
        mounted.place.detach(logger: logger)
        rings?.stop()
        notifier.stop()
        pendingLocks.endAll()
        fileSystem.unmounted()
        mounted.destroy()
        self.mounted = nil
        rings = nil
        workers.withLock { workers in
            workers.forEach(Worker.free)
            workers = []
        }
    }

    private static let stopRetryMilliseconds = 20

    private func stop(_ place: MountPlace) {
        let deadline = Deadline.after(milliseconds: options.stopGraceMilliseconds)
        while !deadline.hasPassed {
            if place.unmount() == .gone { return }
            let pause = Deadline.after(milliseconds: Self.stopRetryMilliseconds)
            let ended: Void? = lifecycle.wait(until: pause) { $0.hasLoopEnded ? () : nil }
            if ended != nil { return }
        }
        if place.unmount() == .gone { return }
        logger.warning("\(place.path) is still in use: taking the mount from those programs")
        place.writeBack(logger: logger)
        place.detach(logger: logger)
    }

    // MARK: Called by the transport and by libfuse, on workers

    /// The calling thread's worker, made at its first request.
    func ownWorker() -> UnsafeMutablePointer<Worker> {
        if let worker = Worker.current { return worker }
        let worker = Worker.make()
        workers.withLock { $0.append(worker) }
        return worker
    }

    func initializationArrived(_ arguments: fuse_init_in) {
        let offered = InitFlags(flags: arguments.flags, flags2: arguments.flags2)
        lifecycle.withLock {
            $0.offered = Negotiated(
                kernelMinorVersion: arguments.minor,
                offered: offered.contains(.extended)
                    ? offered : InitFlags(flags: arguments.flags, flags2: 0),
                accepted: [], maxWriteBytes: 0, maxPages: 0, maxBackground: 0,
                congestionThreshold: 0, splice: options.splice)
        }
    }

    /// libfuse's `init` callback: chooses what libfuse itself sends, and opens the filesystem.
    func initialize(_ connection: inout fuse_conn_info) {
        connection.want = CapabilityWish(
            splice: options.splice,
            locks: fileSystem.servesLocks ? .all.subtracting(options.localLocks) : [],
            accessLists: options.accessLists && options.defaultPermissions,
            handles: options.exportsHandles && fileSystem.servesHandles,
            isShared: fileSystem.mayChangeElsewhere
        ).want(of: connection.capable)
        connection.max_write = UInt32(NegotiationPolicy(splice: options.splice).maxWriteBytes)
        connection.max_background = UInt32(clamping: options.maxBackground)
        connection.congestion_threshold = UInt32(clamping: options.congestionThreshold)
        connection.time_gran = 1
        fileSystem.mounted(notifier: notifier)
    }

    /// Adds to libfuse's INIT answer what it cannot say. `segment` is its fuse_init_out.
    func amendInitialization(_ segment: iovec) {
        guard segment.iov_len >= MemoryLayout<fuse_init_out>.size,
            let answer = segment.iov_base?.assumingMemoryBound(to: fuse_init_out.self)
        else { return }
        prepareRings(for: answer.pointee)
        // SAFETY: libfuse's struct on its stack, alive during this call; the size was checked.
        lifecycle.withLock { state in
            guard var negotiated = state.offered else { return }
            let policy = NegotiationPolicy(splice: options.splice, hasRings: rings != nil)
            negotiated.accepted = policy.amended(
                InitFlags(flags: answer.pointee.flags, flags2: answer.pointee.flags2),
                offered: negotiated.offered)
            answer.pointee.flags = negotiated.accepted.low
            answer.pointee.flags2 = negotiated.accepted.high
            negotiated.maxWriteBytes = Int(answer.pointee.max_write)
            negotiated.maxPages = Int(answer.pointee.max_pages)
            negotiated.maxBackground = Int(answer.pointee.max_background)
            negotiated.congestionThreshold = Int(answer.pointee.congestion_threshold)
            state.offered = negotiated
        }
    }

    /// Makes the rings if requests shall come over io_uring and the kernel offers it.
    private func prepareRings(for answer: fuse_init_out) {
        guard let mounted, options.transport != .device, !options.splice,
            lifecycle.withLock({ $0.offered })?.offered.contains(.overIOUring) == true
        else { return }
        let payloadBytes = max(
            Int(answer.max_write), Int(answer.max_pages) * sysconf(Int32(_SC_PAGESIZE)))
        do throws(Errno) {
            rings = try RingTransport(
                self, session: mounted.session, payloadBytes: payloadBytes,
                threads: options.threads)
        } catch {
            logger.warning("no io_uring (\(error)): requests come by the device")
        }
    }

    /// A ring's thread has ended before the mount. Where no request came over rings yet the kernel goes on
    /// with the device, otherwise with the other rings.
    func ringFailed(_ error: Errno) {
        logger.error("a ring of io_uring failed: \(error)")
    }

    /// The kernel took the INIT answer: the mount answers.
    func initializationAnswered() {
        guard let mounted else { return }
        let (negotiated, onReady) = lifecycle.withLock { state in
            state.negotiated = state.offered
            return (state.offered, state.onReady)
        }
        if let negotiated {
            let transport = rings == nil ? "/dev/fuse" : "io_uring"
            logger.info(
                "requests of \(mounted.place.path) come by \(transport)",
                metadata: ["accepted": "\(negotiated.accepted.names.joined(separator: " "))"])
        }
        notifier.start(session: mounted.session, negotiated: negotiated)
        rings?.start()
        // A thread of its own: `onReady` may look at the mount, and this may be the only worker.
        let place = mounted.place
        let ready = WorkerThread(name: "apusfs-ready") { [self] in
            place.setReadAhead(bytes: options.maxReadAheadBytes, logger: logger)
            onReady?()
        }
        lifecycle.withLock { $0.helpers.append(ready) }
    }

    /// libfuse is about to give up while other workers may wait in the device: abort the connection, which
    /// wakes them.
    func connectionFailed(_ errno: Errno) {
        logger.error("the connection to the kernel failed: \(errno)")
        lifecycle.withLock { $0.place }?.detach(logger: logger)
    }

    func connectionAborted() { wasAborted.store(true, ordering: .releasing) }
}

/// Where a mount is in its life. A value: `FuseServer` acts.
struct Lifecycle {
    enum Phase {
        case created
        case mounted
        case serving
    }

    private var phase = Phase.created
    private var isStopRequested = false
    var hasLoopEnded = false
    var place: MountPlace?
    /// What INIT offered, and then what was answered; `negotiated` once the kernel took it.
    var offered: Negotiated?
    var negotiated: Negotiated?
    var onReady: (@Sendable () -> Void)?
    /// Threads to be joined before the session is destroyed. At most two: ready and stop.
    var helpers: [WorkerThread] = []

    /// Whether the next phase may begin now; each begins once.
    mutating func begin(_ next: Phase) -> Bool {
        switch (phase, next) {
        case (.created, .mounted), (.mounted, .serving):
            phase = next
            return true
        case (.created, _), (.mounted, _), (.serving, _):
            return false
        }
    }

    /// What to unmount: only at the first wish to stop, and when something is mounted.
    mutating func requestStop() -> MountPlace? {
        guard let place, !isStopRequested, !hasLoopEnded else { return nil }
        isStopRequested = true
        return place
    }
}
