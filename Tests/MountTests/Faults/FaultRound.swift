import Foundation
import Primitives
import TestSupport

/// A server and a volume on it, on which a fault happens again and again.
final class FaultBench {
    let fault: Fault
    private let alone: RedisServer?
    /// Of `sentinelFailover`.
    private let deployment: SentinelDeployment?
    let volume: FaultVolume
    let proxy: CuttingProxy?
    /// The small filesystem that the server's files are on, of the faults that need one.
    let disk: SmallDisk?

    init(_ fault: Fault) throws {
        self.fault = fault
        let disk = fault.needsSmallDisk ? try SmallDisk(megabytes: 256) : nil
        self.disk = disk
        let fixed = ["--appendonly", "yes", "--appendfsync", fault.appendfsync]
        let arguments = fixed + (disk.map { ["--dir", $0.path] } ?? [])
        if fault == .sentinelFailover {
            let deployment = try SentinelDeployment(arguments: arguments)
            self.deployment = deployment
            alone = nil
            proxy = nil
            volume = try FaultVolume(source: deployment.source, flags: fault.flags)
            let words = ["format", deployment.source, "--volume", FaultVolume.name]
            try Program.run(words).checked()
            return
        }
        deployment = nil
        let server = try RedisServer(arguments: arguments)
        alone = server
        proxy = fault.needsProxy ? try CuttingProxy(to: server.path, tcp: true) : nil
        volume = try FaultVolume(
            on: server, source: proxy?.port.map { "redis://127.0.0.1:\($0)" }, flags: fault.flags)
    }

    /// The server that has the volume at the moment.
    private var server: RedisServer {
        guard let server = deployment?.primary ?? alone else { preconditionFailure("no server") }
        return server
    }

    func cleanUp() { volume.cleanUp() }

    /// Mounts, has workers at work, lets the fault happen, verifies what was acknowledged, on the mount and
    /// after mounting again; what is wrong.
    func round(_ number: Int, seed: UInt64) throws -> FaultOutcome {
        var random = SeededRandom(seed: seed)
        try volume.mount()
        let workers = try (0..<3).map { index in
            let directory = "\(volume.path)/round-\(number)-\(index)"
            try SystemCall.mkdir(directory)
            return FaultWorker(
                directory: directory, seed: random.next(), keepsHistory: fault == .powerLost)
        }
        var outcome = FaultOutcome()
        // However this ends, no worker may be left on a mount that waits.
        defer {
            server.continue()
            proxy?.leaveAlone()
            for worker in workers { worker.stop() }
        }
        try work(workers, 10 + Int(random.next() % 60))
        let since = try happen(workers, &random)
        if !fault.endsDaemon {
            try work(workers, 10)
            for worker in workers { worker.stop() }
            for worker in workers { outcome.wrong += try worker.mismatches() }
            outcome.exitStatus = try volume.unmount()
        }
        for worker in workers {
            worker.stop()
            outcome.operations += worker.operations
            outcome.failures += worker.failures
        }
        try volume.mount()
        for worker in workers {
            outcome.wrong += try worker.mismatches(since: since).map { "mounted again: \($0)" }
        }
        outcome.checks.append(try volume.check(["--data"]))
        for worker in workers { try ProgramRun.run(["rm", "-rf", worker.directory]).checked() }
        let status = try volume.unmount()
        if outcome.exitStatus == 0 { outcome.exitStatus = status }
        outcome.checks.append(try volume.check(["--data"]))
        return outcome
    }

    private func work(_ workers: [FaultWorker], _ operations: Int) throws {
        for worker in workers where !worker.waitForOperations(operations) {
            throw volume.failure(
                "no progress: \(worker.failures.suffix(3))\n\(server.state)")
        }
    }

    /// The fault from its beginning to its end. For a loss that is allowed: since when.
    private func happen(_ workers: [FaultWorker], _ random: inout SeededRandom) throws -> Deadline?
    {
        let milliseconds = fault.isTooLong ? 1_200 + random.next() % 1_500 : random.next() % 400
        switch fault {
        case .serverKilledAlways, .serverKilledEverySecond:
            let next = try server.prepareStart()
            server.kill()
            pause(milliseconds)
            try next.begin()
        case .sentinelFailover: try failOver(workers, milliseconds)
        case .daemonKilled: try volume.killDaemon()
        case .bothKilled:
            server.kill()
            try volume.killDaemon()
            try server.start()
        case .powerLost: return try losePower(workers, &random)
        case .serverPaused:
            server.pause()
            pause(Scale.faultPauseMilliseconds)
            server.continue()
        case .serverPausedTooLong:
            server.pause()
            pause(milliseconds)
            server.continue()
        case .connectionsKilled:
            for _ in 0...random.next() % 8 {
                let kind = ["normal", "normal", "pubsub"][Int(random.next() % 3)]
                try server.cli("CLIENT", "KILL", "TYPE", kind)
                try work(workers, 1)
            }
        case .blackhole, .blackholeTooLong:
            proxy?.hold()
            pause(milliseconds)
            proxy?.leaveAlone()
        case .memoryFull: try fillMemory(workers, &random)
        case .diskFull: try fillDisk(workers)
        }
        return nil
    }

    /// What was answered and is on no replica yet is lost by a failover, and names are: no sync stands behind
    /// each of them. So only data is written meanwhile, all of which is synced or closed.
    private func failOver(_ workers: [FaultWorker], _ milliseconds: UInt64) throws {
        guard let deployment else { preconditionFailure("no sentinels") }
        for worker in workers { worker.keepNames(true) }
        defer { for worker in workers { worker.keepNames(false) } }
        try work(workers, 8)
        let next = try deployment.primary.prepareStart()
        pause(milliseconds)
        deployment.primary.kill()
        try deployment.waitForFailover()
        try next.begin()
        try deployment.follow()
        try deployment.waitForSentinels()
    }

    /// How long a fault lasts is part of the fault.
    private func pause(_ milliseconds: UInt64) { usleep(UInt32(milliseconds) * 1_000) }

    /// Of the append-only file stays what was written a second ago, and a part of what came behind.
    private func losePower(
        _ workers: [FaultWorker], _ random: inout SeededRandom
    ) throws -> Deadline {
        let lengths = FileLengths(AppendOnlyFile(server.directory.path))
        // More than a second of work, so that there is something to lose and something to keep.
        pause(1_200 + random.next() % 1_000)
        let end = Deadline.now
        server.kill()
        try volume.killDaemon()
        let (kept, since) = lengths.stop(
            before: end.advanced(byMilliseconds: -AppendOnlyFile.mayLoseMilliseconds))
        let file = AppendOnlyFile(server.directory.path)
        let length = try file.length()
        let cut = kept + Int(random.next() % UInt64(max(1, length - kept)))
        try file.cut(to: cut)
        try server.start()
        return since
    }

    private func fillMemory(_ workers: [FaultWorker], _ random: inout SeededRandom) throws {
        let used = try server.information("used_memory")
        let room = Int(random.next() % 500_000)
        try server.cli("CONFIG", "SET", "maxmemory", "\(used + room)")
        let isFull = Polling.wait(limitSeconds: 30) { workers.contains { !$0.failures.isEmpty } }
        guard isFull else { throw volume.failure("nothing failed on a full server") }
        try work(workers, 20)
        try server.cli("CONFIG", "SET", "maxmemory", "0")
    }

    private func fillDisk(_ workers: [FaultWorker]) throws {
        try disk?.fill()
        try work(workers, 30)
        try disk?.makeRoom()
        // The server tries again once a second.
        let isOver = try Polling.wait(limitSeconds: 30) {
            try server.cli("INFO", "persistence").contains("aof_last_write_status:ok")
        }
        guard isOver else { throw volume.failure("the server does not get over a full disk") }
    }
}

/// What a round has shown.
struct FaultOutcome {
    var operations = 0
    var failures: [String] = []
    var wrong: [String] = []
    var exitStatus: Int32 = 0
    var checks: [ProgramRun] = []
}

extension RedisServer {
    /// A number of INFO.
    func information(_ name: String) throws -> Int {
        let line = try cli("INFO").split(whereSeparator: \.isNewline).first {
            $0.hasPrefix(name + ":")
        }
        guard let number = line.flatMap({ Int($0.dropFirst(name.count + 1)) }) else {
            throw Mount.Failure(description: "INFO without \(name)")
        }
        return number
    }
}
