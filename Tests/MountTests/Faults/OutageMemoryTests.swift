import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests {
    /// What is written while the server is away has to be kept somewhere.
    @Suite struct OutageMemoryTests {
        private static let cacheMiB = 32
        private static let writers = 4
        private static let bytesEach = 24 << 20

        @Test
        func `an outage makes writers wait when the cache is full, and the daemon no larger`()
            throws
        {
            let server = try RedisServer()
            let volume = try FaultVolume(
                on: server, flags: ["--cache-size", "\(Self.cacheMiB)M", "--io-timeout", "10m"])
            defer { volume.cleanUp() }
            try volume.mount()
            let daemon = try #require(volume.daemon)
            let files = try (0..<Self.writers).map {
                try Descriptor("\(volume.path)/\($0)", O_RDWR | O_CREAT)
            }
            let contents = (0..<Self.writers).map {
                Bytes.pattern(Self.bytesEach, seed: UInt64($0))
            }
            server.pause()
            defer { server.continue() }
            let progress = Locked([Int](repeating: 0, count: Self.writers))
            let failures = Locked<[Errno]>([])
            let raws = files.map(\.raw)
            let threads = (0..<Self.writers).map { number in
                TestThread(name: "writer") {
                    let bytes = contents[number]
                    var done = 0
                    while done < bytes.count {
                        let piece = Array(bytes[done..<min(done + 100_000, bytes.count)])
                        let count = pwrite(raws[number], piece, piece.count, done)
                        guard count > 0 else {
                            let error = Errno(rawValue: errno)
                            failures.withLock { $0.append(error) }
                            return
                        }
                        done += count
                        let written = done
                        progress.withLock { $0[number] = written }
                    }
                }
            }
            defer {
                server.continue()
                for thread in threads { thread.join() }
            }
            // Nobody has moved for three seconds: all of them wait.
            var before = [0]
            var stillSince = Deadline.now
            let isStill = Polling.wait(limitSeconds: 60) {
                let now = progress.withLock { $0 }
                if now != before { (before, stillSince) = (now, .now) }
                return !now.contains(0) && stillSince.advanced(byMilliseconds: 3_000) < .now
            }
            #expect(isStill)
            let written = before.reduce(0, +)
            #expect(written > Self.cacheMiB << 18, "\(written) bytes")
            #expect(written < Self.cacheMiB << 20, "\(written) bytes")
            let figures = try #require(DaemonFigures(of: daemon))
            #expect(figures.residentKiB <= (Self.cacheMiB + 64) << 10)
            print("outage: \(written >> 20) MiB kept, \(figures.residentKiB) KiB resident")
            server.continue()
            for thread in threads { thread.join() }
            #expect(failures.withLock { $0 } == [])
            for (number, file) in files.enumerated() {
                try file.sync()
                try file.close()
                let found = try SystemCall.readFile("\(volume.path)/\(number)")
                #expect(found == contents[number])
            }
            #expect(try volume.unmount() == 0)
            let checked = try volume.check(["--data"])
            #expect(checked.status == 0, "\(checked)")
        }
    }
}
