import CLinux
import Foundation
import FuseServer
import KeyValue
import Logging
import Primitives
import Redis
import Telemetry
import TestSupport

@testable import KeyspaceFS

/// A view of a server of its own, mounted and served by threads of this process, so that a test can set its
/// limits and look inside. It is gone when the test is over, however the test ends.
final class ServedView {
    let redis: RedisServer
    let fileSystem: KeyspaceFileSystem
    let path: String
    private let directory: TemporaryDirectory
    private let server: FuseServer
    private let thread: TestThread

    private final class Stage: Sendable {
        enum State { case starting, ready, ended }
        let state = Monitor(State.starting)
    }
    private let stage: Stage

    struct NeverReady: Error {}

    init(
        prepare: (RedisServer) throws -> Void, _ configure: (inout KeyspaceOptions) -> Void
    ) throws {
        redis = try RedisServer()
        try prepare(redis)
        directory = try TemporaryDirectory(prefix: "apusfs-view")
        path = directory.path
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        var redisOptions = RedisOptions()
        redisOptions.loadsScripts = false
        var options = KeyspaceOptions()
        configure(&options)
        let metrics = Metrics()
        fileSystem = KeyspaceFileSystem(
            redis: try RedisStore(
                endpoint: RedisEndpoint(.unix(path: redis.path)), options: redisOptions,
                metrics: metrics, logger: logger),
            options: options, metrics: metrics, logger: logger)
        let server = FuseServer(
            fileSystem: fileSystem, options: FuseOptions(), metrics: metrics, logger: logger)
        self.server = server
        try server.mount(at: path)
        let stage = Stage()
        self.stage = stage
        thread = TestThread(name: "test-serve") {
            do throws(FuseError) {
                try server.serve { stage.state.change { $0 = .ready } }
            } catch {
                FileHandle.standardError.write(Data("the view ended: \(error)\n".utf8))
            }
            stage.state.change { $0 = .ended }
        }
        let isReady: Bool? = stage.state.wait(until: .after(milliseconds: 20_000)) {
            $0 == .starting ? nil : $0 == .ready
        }
        guard isReady == true else { throw NeverReady() }
    }

    /// What a shell script prints that runs in the mount.
    @discardableResult
    func shell(_ script: String) throws -> String {
        try ProgramRun.run(["sh", "-euc", script], in: path).checked().output
    }

    deinit {
        stop()
        thread.join()
    }

    /// Unmounts, from programs that use it, too.
    func stop() {
        server.requestStop()
        let hasEnded: Void? = stage.state.wait(until: .after(milliseconds: 10_000)) {
            $0 == .ended ? () : nil
        }
        if hasEnded == nil { apusfs_umount(path, Int32(APUSFS_MNT_DETACH)) }
    }
}
