import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests {
    /// One program writes what others read, on one mount.
    @Suite struct ReadersBesideWriterTests {
        private static let length = 16

        private static func line(_ number: Int) -> [UInt8] {
            let digits = Array("\(number)".utf8)
            return digits + [UInt8](repeating: UInt8(ascii: "."), count: length - digits.count)
        }

        /// With an access time to be updated each open has the kernel drop its pages, also those into which a
        /// write was copied that the daemon has not met yet.
        @Test(arguments: ["appends", "writes"])
        func `who opens a file sees every byte that another program has written`(
            how: String
        ) throws {
            try withMount(store: .redis, flags: ["--strictatime"]) { mount in
                let path = mount.path + "/log"
                let mode = O_WRONLY | (how == "appends" ? O_APPEND : 0)
                try SystemCall.writeFile(path, "")
                let count = 6_000
                let written = Locked(-1)
                try inParallel(3) { thread in
                    guard thread > 0 else {
                        defer { written.withLock { $0 = count } }
                        let writer = try Descriptor(path, mode)
                        for number in 0..<count {
                            if how == "appends" {
                                try writer.write(Self.line(number))
                            } else {
                                try writer.write(Self.line(number), at: number * Self.length)
                            }
                            written.withLock { $0 = number }
                        }
                        return
                    }
                    while true {
                        let known = written.withLock { $0 }
                        if known == count { return }
                        if known < 0 { continue }
                        let file = try Descriptor(path, O_RDONLY)
                        let first = max(0, known - 3)
                        let bytes = try file.read(
                            (known + 1 - first) * Self.length, at: first * Self.length)
                        #expect(bytes == (first...known).flatMap(Self.line), "up to line \(known)")
                        try file.close()
                    }
                }
            }
        }
    }
}
