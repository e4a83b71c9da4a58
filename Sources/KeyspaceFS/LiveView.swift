import FileSystem
import KeyValue
import Logging
import Primitives
import Redis
import Telemetry

/// What happens while a mount lives: changes of others are taken in, old edits are stored, the kernel is
/// asked to forget what it has known longest when that is too much.
final class LiveView: Sendable {
    private struct State {
        var isStopped = false
        var way: KeyWatching?
        var subscription: (any Subscription)?
        /// Somebody wants everything to be doubted.
        var mustDrop = false
    }

    private static let beatMilliseconds = 500

    private weak let fileSystem: KeyspaceFileSystem?
    private let state = Monitor(State())
    private let worker = Locked<WorkerThread?>(nil)

    init(_ fileSystem: KeyspaceFileSystem) { self.fileSystem = fileSystem }

    /// For people.
    var description: String {
        switch state.withLock({ $0.way }) {
        case .tracking: "tracking"
        case .notifications: "notifications"
        case nil: "none"
        }
    }

    func start() {
        guard let fileSystem else { return }
        watch(fileSystem)
        let thread = WorkerThread(name: "keyspace") { [self] in run() }
        worker.withLock { $0 = thread }
    }

    func stop() {
        let subscription = state.change { state in
            state.isStopped = true
            return state.subscription
        }
        subscription?.cancel()
        worker.withLock { $0 }?.join()
    }

    private func run() {
        while true {
            let limit = Deadline.after(milliseconds: Self.beatMilliseconds)
            let _: Void? = state.wait(until: limit) { $0.isStopped || $0.mustDrop ? () : nil }
            let (isStopped, mustDrop) = state.withLock { state in
                defer { state.mustDrop = false }
                return (state.isStopped, state.mustDrop)
            }
            guard !isStopped, let fileSystem else { return }
            if mustDrop { fileSystem.dropEverything() }
            fileSystem.flushOldEdits()
            fileSystem.trimInodes()
        }
    }

    /// Has the kernel doubt everything, soon: a request must not wait for that.
    func dropSoon() { state.change { $0.mustDrop = true } }

    // MARK: Changes of others

    private func watch(_ fileSystem: KeyspaceFileSystem) {
        let ways: [KeyWatching] =
            switch fileSystem.options.watching {
            case .auto: [.tracking, .notifications]
            case .tracking: [.tracking]
            case .notifications: [.notifications]
            case .none: []
            }
        for way in ways {
            // Where that cannot be known, whoever has asked for them knows.
            if way == .notifications,
                !(fileSystem.store.sendsNotifications ?? (ways == [.notifications]))
            {
                continue
            }
            do throws(StoreError) {
                let subscription = try fileSystem.store.redis.watchKeys(
                    prefix: fileSystem.naming.rootPrefix, by: way
                ) { [weak fileSystem] event in fileSystem?.apply(event) }
                state.withLock { state in
                    state.way = way
                    state.subscription = subscription
                }
                fileSystem.logger.info("changes are announced", metadata: ["by": "\(way)"])
                return
            } catch {
                fileSystem.logger.info(
                    "changes are not announced this way",
                    metadata: ["by": "\(way)", "reason": "\(error)"])
            }
        }
        fileSystem.logger.notice(
            "changes of others are seen after the time limits only",
            metadata: ["refresh": "\(fileSystem.options.refreshMilliseconds) ms"])
    }
}
