import Foundation
import Primitives
import TestSupport
import Testing

extension MountTests {
    /// What `stat` says of lists, sets, sorted sets and streams before anybody has opened them.
    @Suite struct KeysSizeTests {
        /// ARGV: a seed. Elements of every kind that the text or the JSON writes in its own way.
        private static let everything = #"""
            math.randomseed(tonumber(ARGV[1]))
            local parts = {'', 'a', ' ', '\\', '\n', '\t', '"', '\0', '\31', '\127', '/', '[',
              ']', '^', '#',
              '\195\164', '\226\130\172', '\240\159\152\128', '\224\160\128', '\237\159\191',
              '\244\143\191\191', '\194', '\226\130', '\240\159\152', '\224\128\128',
              '\237\160\128',
              '\192\175', '\244\144\128\128', '\245\128\128\128', '\128', '\255',
              '\225\194\128\128\128', '\240\128\128\128'}
            local function add(name, i, text)
              redis.call('RPUSH', 'list' .. name, text)
              redis.call('SADD', 'set' .. name, text)
              local scores = {'inf', '-inf', '1e300', '0.1', '-1e-7', '17', '-0',
                '3.0000000000000004'}
              redis.call('ZADD', 'zset' .. name, scores[i % #scores + 1], text)
              redis.call('XADD', 'stream' .. name, i .. '-1', text, i, 'f', text)
            end
            for i, part in ipairs(parts) do add('each', i, part) end
            for byte = 0, 255 do add('bytes', byte + 1, string.char(byte)) end
            for _, count in ipairs({1, 999, 1000, 1001, 2000, 4321}) do
              for i = 1, count do
                local text = i .. ''
                for _ = 1, math.random(0, 5) do text = text .. parts[math.random(#parts)] end
                add(count, i, text)
              end
            end
            for i = 1, 5 do add('large', i, i .. string.rep('x\n', 100000)) end
            redis.call('SADD', 'integers', 1, 2, 3)
            redis.call('XADD', 'stream', '1-1', 'f', 'v'); redis.call('XDEL', 'stream', '1-1')
            """#

        @Test(arguments: ["text", "json"])
        func `the size is that of the contents, whatever the elements are`(format: String) throws {
            let seed = UInt32.random(in: 0...UInt32.max)
            try withKeys(
                flags: ["--format", format],
                prepare: { try $0.cli("EVAL", Self.everything, "0", "\(seed)") }
            ) { (view) throws in
                let names = try view.shell("ls").split(separator: "\n").map { String($0) }
                #expect(names.count == 4 * 9 + 2)
                // By a listing that brings the attributes along, before anything is opened.
                let listed = try view.shell("stat -c '%n %s' *").split(separator: "\n")
                let sizes = listed.reduce(into: [String: Int]()) { sizes, line in
                    let words = line.split(separator: " ")
                    sizes[String(words[0])] = Int(words[1])
                }
                for name in names {
                    let contents = try SystemCall.readFile(view.path + "/" + name)
                    #expect(sizes[name] == contents.count, "\(name), seed \(seed)")
                }
                // Programs that go by the size they see, and what such a copy holds.
                try view.shell("tar cf \(view.directory)/all.tar .; mkdir \(view.directory)/out")
                try view.shell("tar xf \(view.directory)/all.tar -C \(view.directory)/out")
                try view.shell("diff -r . \(view.directory)/out")
                #expect(
                    try view.shell("cat * | wc -c") == view.shell("du -bc * | tail -n 1 | cut -f 1")
                )
            }
        }

        @Test func `no element leaves the server for a size`() throws {
            try withKeys(
                flags: [],
                prepare: { server in
                    let script = """
                        for i = 1, 3000 do
                          local text = i .. string.rep('x', 300)
                          redis.call('RPUSH', 'd:list', text); redis.call('SADD', 'd:set', text)
                          redis.call('ZADD', 'd:zset', i, text)
                          redis.call('XADD', 'd:stream', i .. '-1', 'f', text)
                        end
                        """
                    try server.cli("EVAL", script, "0")
                }
            ) { (view) throws in
                // `d` is looked up, so that only its listing is counted.
                try view.shell("ls")
                try view.cli("CONFIG", "RESETSTAT")
                let sizes = try view.shell("cd d; stat -c '%n %s' *")
                let sent = try view.sentBytes()
                #expect(sent.map { $0 < 30_000 } == true, "\(sent ?? -1) bytes left the server")
                let contents = try view.shell("cd d; for f in *; do echo $f $(wc -c < $f); done")
                #expect(sizes == contents)
                // What was counted is kept while nobody has changed it.
                try view.cli("CONFIG", "RESETSTAT")
                try view.shell("sleep 1.2; stat -c %s d/*")
                #expect(try view.commandCalls()["eval_ro"] == nil)
            }
        }

        @Test func `elements of very different sizes are read whole and keep nobody waiting`()
            throws
        {
            try withKeys(
                flags: ["--format", "json"],
                prepare: { server in
                    let script = """
                        for i = 1, 2000 do redis.call('RPUSH', 'l', i) end
                        for i = 1, 3 do
                          redis.call('RPUSH', 'l', string.rep('\\195\\164', 2000000))
                        end
                        redis.call('RPUSH', 'm', string.rep('x', 500000), 'y')
                        """
                    try server.cli("EVAL", script, "0")
                }
            ) { (view) throws in
                let meter = PingMeter(view.server.path)
                #expect(try view.shell("stat -c %s l m") == "0\n500012\n")
                let time = meter.finish()
                print("PING while elements of 4 MB are met: \(time) µs")
                #expect(time.maximum < 500_000)
                #expect(try view.shell("jq length l m") == "2003\n2\n")
                #expect(try view.shell("wc -c < m") == "500012\n")
            }
        }

        @Test func `a size is counted anew when somebody has changed the value`() throws {
            try withKeys(
                flags: ["--attr-timeout", "1h", "--entry-timeout", "1h"],
                prepare: { try $0.cli("RPUSH", "l", "a", "b") }
            ) { (view) throws in
                #expect(try SystemCall.stat(view.path + "/l").st_size == 4)
                for count in 3...20 {
                    try view.cli("RPUSH", "l", "x")
                    #expect(
                        try Polling.wait {
                            try SystemCall.stat(view.path + "/l").st_size == 2 * count
                        })
                }
                try view.cli("DEL", "l")
                #expect(Polling.wait { !SystemCall.exists(view.path + "/l") })
            }
        }

        @Test func `beyond the bound the size is 0 until the open, and programs read all`() throws {
            try withKeys(
                flags: ["--format", "json"],
                prepare: { server in
                    let script = """
                        for i = 1, 100001 do redis.call('RPUSH', KEYS[1], i) end
                        return redis.call('RPUSH', KEYS[2], 'a', 'b')
                        """
                    try server.cli("EVAL", script, "2", "large", "small")
                }
            ) { (view) throws in
                #expect(try view.shell("stat -c %s large small") == "0\n13\n")
                #expect(try view.shell("jq length large") == "100001\n")
                #expect(try view.shell("tail -n 2 large") == "\"100001\"\n]\n")
                #expect(try view.shell("grep -c . large") == "100003\n")
                let size = try view.shell("cat large | wc -c")
                #expect(try view.shell("wc -c < large") == size)
                #expect(try view.shell("stat -c %s large") == size)
                try view.shell("cp large \(view.directory)/copy; cmp large \(view.directory)/copy")
            }
        }
    }
}
