import CLinux
import FileSystem
import Foundation
import FuseServer
import Logging
import Primitives
import Telemetry
import TestSupport

/// A mount of a `MemoryFileSystem`, served by threads of this process. It is gone when the test is over,
/// however the test ends.
///
/// A test must not map files of the mount into its own memory: a page fault would wait for a thread that
/// may wait for the same address space.
final class TestMount: Sendable {
    private struct State {
        var isReady = false
        var result: Result<Void, FuseError>?
    }

    let files: MemoryFileSystem
    let server: FuseServer
    let metrics = Metrics()
    let path: String
    private let directory: TemporaryDirectory
    private let thread: TestThread

    init(files: MemoryFileSystem = MemoryFileSystem(), options: FuseOptions = FuseOptions()) throws
    {
        directory = try TemporaryDirectory(prefix: "apusfs-fuse")
        path = directory.path
        self.files = files
        var logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        logger.logLevel = .debug
        let server = FuseServer(
            fileSystem: files, options: options, metrics: metrics, logger: logger)
        self.server = server
        let shared = SharedState()
        try server.mount(at: path)
        thread = TestThread(name: "test-serve") {
            do throws(FuseError) {
                try server.serve { shared.monitor.change { $0.isReady = true } }
                shared.monitor.change { $0.result = .success(()) }
            } catch {
                shared.monitor.change { $0.result = .failure(error) }
            }
        }
        self.shared = shared
        let isReady: Void? = shared.monitor.wait(until: .after(milliseconds: 20_000)) {
            $0.isReady || $0.result != nil ? () : nil
        }
        guard isReady != nil else { throw TestMountError.neverReady }
    }

    private final class SharedState: Sendable {
        let monitor = Monitor(State())
    }

    private let shared: SharedState

    enum TestMountError: Error {
        case neverReady
        case neverEnded
    }

    /// Waits until the server has ended, and throws what it threw.
    func waitForEnd(seconds: Int = 30) throws {
        let result = shared.monitor.wait(until: .after(milliseconds: seconds * 1_000)) { $0.result }
        guard let result else { throw TestMountError.neverEnded }
        thread.join()
        try result.get()
    }

    func stop() throws {
        server.requestStop()
        try waitForEnd()
    }

    var isMounted: Bool { Self.isMounted(path) }

    static func isMounted(_ path: String) -> Bool {
        let table = (try? String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)) ?? ""
        return table.contains(" \(path) ")
    }

    deinit {
        if shared.monitor.withLock({ $0.result == nil }) {
            server.requestStop()
            do { try waitForEnd(seconds: 10) } catch { apusfs_umount(path, 3) }
        }
    }
}

/// Mounts, runs a test, and unmounts whatever happens.
func withMount(
    _ files: MemoryFileSystem = MemoryFileSystem(),
    configure: (inout FuseOptions) -> Void = { _ in },
    _ body: (TestMount) throws -> Void
) throws {
    var options = FuseOptions()
    configure(&options)
    let mount = try TestMount(files: files, options: options)
    do {
        try body(mount)
    } catch {
        try? mount.stop()
        throw error
    }
    if mount.isMounted { try mount.stop() }
}
