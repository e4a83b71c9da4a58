import Glibc
import Logging
import Primitives

/// Watches an embedded server and has it started again when it dies.
final class EmbeddedSupervisor: Sendable {
    /// A server that dies this often within `windowMilliseconds` has a reason that a restart does not
    /// mend.
    static let maximumRestarts = 5
    static let windowMilliseconds = 60_000

    private let wake: OwnedDescriptor
    private let thread: WorkerThread

    init(server: EmbeddedServer, logger: Logger) throws(CommandFailure) {
        let ends: (read: OwnedDescriptor, write: OwnedDescriptor)
        do throws(Errno) {
            ends = try OwnedDescriptor.pipe()
        } catch {
            throw CommandFailure("embedded server", "cannot watch it", errno: error.rawValue)
        }
        let sleeper = ends.read
        wake = ends.write
        // The thread is joined by `stop`, so the cycle ends with the server's release.
        thread = WorkerThread(name: "redis-watch") {
            Self.watch(server, sleeper: sleeper, logger: logger)
        }
    }

    /// Ends the watch. Nothing is restarted once this has returned.
    func stop() {
        do throws(Errno) {
            try wake.writeAll([0])
        } catch {
            preconditionFailure("the pipe to our own thread broke: \(error)")
        }
        thread.join()
    }

    private static func watch(
        _ server: EmbeddedServer, sleeper: OwnedDescriptor, logger: Logger
    ) {
        var deaths: [Deadline] = []
        while true {
            let process = ServerConnection(path: server.socketPath)?.serverProcess
                .flatMap { ProcessHandle(id: $0) }
            if let process {
                let ready = OwnedDescriptor.awaitReadable([process.raw, sleeper.raw], until: nil)
                if ready.contains(sleeper.raw) { return }
                process.reap()
            } else if !OwnedDescriptor.awaitReadable([sleeper.raw], until: .now).isEmpty {
                return
            }
            deaths = deaths.filter { !$0.advanced(byMilliseconds: windowMilliseconds).hasPassed }
            deaths.append(.now)
            guard deaths.count <= maximumRestarts else {
                logger.critical("the embedded server keeps dying; it is not started again")
                return
            }
            logger.error("the embedded server died; starting it again")
            do throws(CommandFailure) {
                try server.recover()
            } catch {
                logger.error("the embedded server could not be started: \(error)")
            }
        }
    }
}
