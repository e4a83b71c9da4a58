import Foundation
import TestSupport
import Testing

extension MountTests {
    /// A dataset of `Scale.keys` keys of all types.
    @Suite struct KeysLargeTests {
        /// Half of them in the root, half as `user:N:NAME` in directories of ten.
        private static let script = """
            for i = tonumber(ARGV[1]), tonumber(ARGV[2]) - 1 do
              local key = i % 2 == 0 and 'key' .. i or 'user:' .. math.floor(i / 20) .. ':k' .. i
              local kind = math.floor(i / 2) % 10
              if kind < 5 then redis.call('SET', key, string.rep('x', i % 100))
              elseif kind == 5 then redis.call('HSET', key, 'a', i, 'b', i)
              elseif kind == 6 then redis.call('RPUSH', key, i, 'x')
              elseif kind == 7 then redis.call('SADD', key, i, 'x')
              elseif kind == 8 then redis.call('ZADD', key, i, 'x')
              else redis.call('XADD', key, '1-1', 'f', i) end
            end
            """

        @Test func `a large dataset is listed in bounded memory and keeps nobody waiting`() throws {
            let keys = Scale.keys
            try withKeys(
                flags: [], limitSeconds: 1_200,
                prepare: { server in
                    for start in stride(from: 0, to: keys, by: 10_000) {
                        let end = min(start + 10_000, keys)
                        try server.cli("EVAL", Self.script, "0", "\(start)", "\(end)")
                    }
                }
            ) { (view) throws in
                #expect(try view.cli("DBSIZE") == "\(keys)")
                try view.cli("CONFIG", "RESETSTAT")
                let before = try memory(of: view)
                // What the machine does without a listing.
                let quiet = PingMeter(view.server.path)
                try view.shell("i=0; while test $i -lt 300000; do i=$((i + 1)); done")
                let quietTime = quiet.finish()
                let meter = PingMeter(view.server.path)
                // One file for a key but hashes, which are two fields; half of them in the root.
                let root = try view.shell("ls -f | wc -l").filter(\.isNumber)
                let rootTime = meter.finish()
                let listed = try memory(of: view)
                let callsOfList = try view.commandCalls()
                let listPeak = try memory(of: view, "VmHWM:")
                let subtree = PingMeter(view.server.path)
                // The other half, in directories of ten: each of them is looked up, opened and listed.
                let found = try view.shell("find user -type f | wc -l").filter(\.isNumber)
                let subtreeTime = subtree.finish()
                let after = try memory(of: view)
                let peak = try memory(of: view, "VmHWM:")
                let calls = try view.commandCalls()
                print(
                    """
                    keys: \(keys) keys; ls of the root: \(root) names, PING \(rootTime) µs;
                    find of user: \(found) files, PING \(subtreeTime) µs;
                    without a listing: PING \(quietTime) µs;
                    daemon \(before) kB, \(listed) kB after ls, \(listPeak) kB at most;
                    \(after) kB after find, \(peak) kB at most;
                    \(calls.sorted { $0.key < $1.key })
                    """)
                let files = (0..<keys / 2).reduce(0) { $0 + ($1 % 10 == 5 ? 2 : 1) }
                // `.`, `..` and `user` stand beside them.
                #expect(Int(root) == files + 3)
                #expect(Int(found) == files)
                // 16 bytes at most for each name that was shown, some for each directory, and pages.
                #expect(listPeak - before < 24_000 + keys / 20, "grown by \(listPeak - before) kB")
                // And what the kernel knows: up to 100,000 files and directories of 500 bytes.
                let known = min(keys, 100_000)
                #expect(peak - listPeak < 4_000 + known / 2, "then by \(peak - listPeak) kB")
                for forbidden in [
                    "keys", "get", "getrange", "hget", "hgetall", "hmget", "hvals", "dump",
                    "hscan", "sscan", "zscan", "sort", "mget",
                ] {
                    #expect(calls[forbidden] == nil, "\(forbidden): \(calls[forbidden] ?? 0) calls")
                }
                // The kernel asks for the first names of a directory with their sizes, which the server counts.
                for counted in ["lrange", "smembers", "zrange", "xrange"] {
                    #expect(callsOfList[counted, default: 0] < 1_000)
                }
                // All keys are gone through once before changes are announced, and once after.
                #expect(calls["scan", default: 0] < keys / 1_000 * 3 + 10)
            }
        }

        /// Kilobytes of memory of the daemon.
        private func memory(of view: KeysMount, _ name: String = "VmRSS:") throws -> Int {
            let daemon = try #require(view.daemon)
            let status = try String(contentsOfFile: "/proc/\(daemon)/status", encoding: .utf8)
            let line = status.split(separator: "\n").first { $0.hasPrefix(name) } ?? ""
            return Int(line.filter(\.isNumber)) ?? 0
        }
    }
}
