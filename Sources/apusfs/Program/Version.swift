import CJemalloc
import Primitives

/// What this program is made of.
enum Version {
    static let apusfs = "0.1.0"

    /// The compiler that built it, as far as a program can know it.
    static var swift: String {
        #if swift(>=6.4)
            "6.4 or newer"
        #elseif swift(>=6.3)
            "6.3"
        #else
            "6.2"
        #endif
    }

    /// `jemalloc 5.3.0`, if that is what serves `malloc` of this process: its own statistics have to
    /// move with an allocation. Linked alone would prove nothing, as another allocator may come first.
    static var allocator: String {
        guard apusfs_jemalloc_is_linked(), let version = jemallocVersion() else {
            return "the system's (built without jemalloc)"
        }
        guard jemallocServesMalloc() else { return "the system's (jemalloc \(version) is idle)" }
        return "jemalloc \(version)"
    }

    /// What an embedded store would run: `Redis server v=7.0.15 sha=...` says so.
    static var redisServer: String? {
        guard let program = ChildProcess.find("redis-server") else { return nil }
        do throws(Errno) {
            let result = try ChildProcess.run(program, arguments: ["redis-server", "--version"])
            return result.output.split(separator: " ").first { $0.hasPrefix("v=") }
                .map { String($0.dropFirst(2)) }
        } catch {
            return nil
        }
    }

    /// `5.3.0-0-g54eaed1d8b56b1aa528be3bdd1877e59c56fa90c`, cut before the first hyphen.
    private static func jemallocVersion() -> String? {
        var text: UnsafePointer<CChar>?
        var size = MemoryLayout<UnsafePointer<CChar>?>.size
        guard apusfs_jemalloc_read("version", &text, &size) == 0, let text else { return nil }
        // SAFETY: the answer is a string constant of libjemalloc.
        return String(cString: text).split(separator: "-").first.map { String($0) }
    }

    private static func jemallocServesMalloc() -> Bool {
        let probeBytes = 8 << 20
        let before = allocatedBytes()
        // Larger than anything that the thread's cache, which the statistics do not see, could serve.
        let probe = UnsafeMutableRawPointer.allocate(byteCount: probeBytes, alignment: 16)
        probe.storeBytes(of: 1, as: UInt8.self)
        let during = allocatedBytes()
        probe.deallocate()
        // Half of it: what caches of threads give back meanwhile counts the other way.
        let half = probeBytes / 2
        return during - before >= half && during - allocatedBytes() >= half
    }

    private static func allocatedBytes() -> Int {
        var bytes = 0
        var size = MemoryLayout<Int>.size
        guard apusfs_jemalloc_refresh() == 0,
            apusfs_jemalloc_read("stats.allocated", &bytes, &size) == 0
        else { return 0 }
        return bytes
    }
}
