import Foundation
import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests {
    /// A long random run under a small cache: what a mount holds does not grow, and neither does what it
    /// leaves in the store.
    ///
    /// A day of somebody who does ten operations a second around the clock is 864,000 of them, each of some
    /// system calls (open, writes, fsync, close, say); here they come as fast as they can.
    /// APUSFS_TEST_SOAK_OPERATIONS says how many.
    @Suite struct SoakTests {
        private static let cacheMiB = 32

        @Test func `a day's work leaves no memory, descriptor or key behind`() throws {
            let server = try RedisServer()
            let flags = ["--cache-size", "\(Self.cacheMiB)M", "--flush-interval", "200ms"]
            let volume = try FaultVolume(on: server, flags: flags)
            defer { volume.cleanUp() }
            let neighbour = try FaultVolume(source: volume.source, flags: flags)
            defer { neighbour.cleanUp() }
            try volume.mount()
            let daemon = try #require(volume.daemon)
            var random = SeededRandom(seed: Scale.seed)
            let workers = try (0..<3).map { number in
                let directory = "\(volume.path)/soak-\(number)"
                try SystemCall.mkdir(directory)
                return FaultWorker(directory: directory, seed: random.next(), keepsHistory: false)
            }
            let churn = ChurnWorker(directory: volume.path + "/churn", seed: random.next())
            defer {
                for worker in workers { worker.stop() }
                churn.stop()
            }
            var curve: [DaemonFigures] = []
            var visits = 0
            var neighbours = 0
            let begun = Deadline.now
            func operations() -> Int {
                workers.reduce(churn.operations + neighbours) { $0 + $1.operations }
            }
            let samples = 50
            for sample in 1...samples {
                // Every other stretch of it in company: another mount comes, works and goes.
                let guest = sample % 2 == 0 ? neighbour : nil
                var visitor: ChurnWorker?
                if let guest {
                    try guest.mount()
                    visitor = ChurnWorker(
                        directory: "\(guest.path)/visit-\(sample)", seed: random.next())
                }
                let wanted = Scale.soakOperations * sample / samples
                let isMoving = Polling.wait(limitSeconds: 1_800) {
                    operations() + (visitor?.operations ?? 0) >= wanted || !churn.failures.isEmpty
                }
                #expect(isMoving)
                let figures = try #require(DaemonFigures(of: daemon))
                curve.append(figures)
                if let visitor, let guest {
                    visitor.stop()
                    neighbours += visitor.operations
                    visits += 1
                    #expect(visitor.failures == [])
                    #expect(try guest.unmount() == 0)
                }
                let seconds =
                    (Deadline.now.monotonicNanoseconds - begun.monotonicNanoseconds) / 1_000_000_000
                print(
                    "soak: \(seconds) s, \(operations()) operations, \(figures.residentKiB) KiB, "
                        + "\(figures.descriptors) descriptors, \(figures.threads) threads")
                if !churn.failures.isEmpty { break }
            }
            for worker in workers { worker.stop() }
            churn.stop()
            #expect(churn.failures == [])
            for worker in workers {
                #expect(worker.failures == [])
                #expect(try worker.mismatches() == [])
            }
            try expectFlat(curve)
            #expect(try volume.unmount() == 0)

            try volume.mount()
            for worker in workers { #expect(try worker.mismatches() == []) }
            let isTidy = try Polling.wait(limitSeconds: 60) {
                try keys(of: server).sorted() == expectedKeys(below: volume.path, server).sorted()
            }
            #expect(isTidy)
            for worker in workers { try ProgramRun.run(["rm", "-rf", worker.directory]).checked() }
            #expect(try volume.unmount() == 0)
            let checked = try volume.check(["--data"])
            #expect(checked.status == 0, "\(checked)")
            #expect(try keys(of: server).sorted() == ["{faults}", "{faults}i1"])
            print("soak: first seed \(Scale.seed), \(visits) visits of another mount")
        }

        /// Memory and descriptors within their bounds, and at the end no more than once the caches were full.
        private func expectFlat(_ curve: [DaemonFigures]) throws {
            let limitKiB = (Self.cacheMiB + 64) << 10
            #expect(curve.allSatisfy { $0.residentKiB <= limitKiB })
            let fifth = curve.count / 5
            let early = curve[fifth..<2 * fifth]
            let late = curve.suffix(fifth)
            func most(_ figures: ArraySlice<DaemonFigures>, _ of: (DaemonFigures) -> Int) -> Int {
                figures.map(of).max() ?? 0
            }
            // The allocator keeps a little more or less.
            #expect(most(late, \.residentKiB) <= most(early, \.residentKiB) + 8 << 10)
            #expect(most(late, \.descriptors) <= most(early, \.descriptors) + 2)
            #expect(most(late, \.threads) <= most(early, \.threads) + 1)
        }

        /// All keys but those of sessions.
        private func keys(of server: RedisServer) throws -> [String] {
            try server.cli("--scan").split(separator: "\n").map(String.init)
                .filter { !$0.hasPrefix("{faults}s") && !$0.hasPrefix("{faults}o") }
        }

        /// What the files that are there need: each inode its record, each directory with names its names,
        /// each file as many blocks as it says (of which keys carry other numbers than inodes).
        private func expectedKeys(below path: String, _ server: RedisServer) throws -> [String] {
            var expected = ["{faults}", "{faults}i1", "{faults}d1"]
            var blocks = 0
            func visit(_ path: String) throws {
                for entry in try Listing.entries(path) where ![".", ".."].contains(entry.name) {
                    let status = try SystemCall.lstat("\(path)/\(entry.name)")
                    let inode = "{faults}i\(status.st_ino)"
                    if expected.contains(inode) { continue }
                    expected.append(inode)
                    if status.kind == S_IFREG {
                        let bytes = status.st_blocks * 512
                        blocks += (bytes + Self.blockBytes - 1) / Self.blockBytes
                    }
                    guard status.kind == S_IFDIR else { continue }
                    let before = expected.count
                    try visit("\(path)/\(entry.name)")
                    if expected.count > before { expected.append("{faults}d\(status.st_ino)") }
                }
            }
            try visit(path)
            let stored = try keys(of: server).filter { $0.hasPrefix("faults/b{") }
            // Their number is what is compared.
            return expected + stored.prefix(blocks)
                + [String](repeating: "a block", count: max(0, blocks - stored.count))
        }

        private static let blockBytes = 124 << 10
    }
}
