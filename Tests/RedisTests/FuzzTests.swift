import KeyValue
import Primitives
import TestSupport
import Testing

@testable import Redis

/// What a hostile server may say: it is refused, or it is a reply, and nothing ends the process.
@Suite struct FuzzTests {
    private static func reply(_ fuzz: inout Fuzz, depth: Int = 0) -> Bytes {
        let end = bytes("\r\n")
        switch fuzz.below(depth < 4 ? 8 : 6) {
        case 0: return bytes("+OK") + end
        case 1: return bytes("-ERR no") + end
        case 2: return bytes(":") + fuzz.number() + end
        case 3: return bytes("$-1") + end
        case 4:
            let text = fuzz.bytes(40)
            return bytes("$\(text.count)") + end + text + end
        case 5: return bytes("$") + fuzz.number() + end + fuzz.bytes(20) + end
        case 6: return bytes("*") + fuzz.number() + end
        default:
            let count = fuzz.below(5)
            return bytes("*\(count)") + end
                + (0..<count).flatMap { _ in reply(&fuzz, depth: depth + 1) }
        }
    }

    @Test func `any bytes are a reply or a broken link`() {
        var replies = 0
        var failures = 0
        let count = Fuzz.run("replies") { fuzz in
            let whole = (0...fuzz.below(3)).flatMap { _ in Self.reply(&fuzz) }
            let text = fuzz.below(3) == 0 ? whole : fuzz.mutated(whole)
            let source = Chunks(text, seed: fuzz.next(), largest: 1 + fuzz.below(64))
            let reader = ReplyReader(source: source)
            var destination = Bytes(repeating: 0, count: 64)
            var list = HashList()
            do throws(LinkFailure) {
                for _ in 0..<4 {
                    switch fuzz.below(4) {
                    case 0:
                        var failure: LinkFailure?
                        destination.withUnsafeMutableBytes { memory in
                            do throws(LinkFailure) {
                                _ = try reader.readBlock(into: memory)
                            } catch {
                                failure = error
                            }
                        }
                        if let failure { throw failure }
                    case 1: _ = try reader.readHash(into: &list)
                    default: _ = try reader.readReply()
                    }
                    replies += 1
                }
            } catch {
                failures += 1
            }
        }
        #expect(replies > 0 && failures > 0 && count > 0)
    }

    private static func tree(_ fuzz: inout Fuzz, depth: Int = 0) -> Reply {
        switch fuzz.below(depth < 3 ? 8 : 5) {
        case 0: return .null
        case 1: return .integer(Int64(bitPattern: fuzz.next()) >> Int64(fuzz.below(64)))
        case 2: return .bulk(fuzz.number())
        case 3: return .bulk(fuzz.bytes(12))
        case 4: return .simple(fuzz.bytes(4))
        default:
            return .array((0..<fuzz.below(5)).map { _ in tree(&fuzz, depth: depth + 1) })
        }
    }

    @Test func `a reply of any shape answers a read or breaks the protocol`() {
        let key = bytes("k")
        let reads: [Read] = [
            .value(key: key), .fields(key: key, [key, key]), .allFields(key: key),
            .fieldCount(key: key), .page(key: key, cursor: 0, limit: 9),
            .follow(key: key, field: key, prefix: key),
            .followPage(key: key, cursor: 0, limit: 9, prefix: key),
            .members(key: key, upTo: 9, limit: 9), .time, .existence(keys: [key]),
            .keys(prefix: key, cursor: 0, limit: 9),
        ]
        var answers = 0
        let count = Fuzz.run("answers") { fuzz in
            let reply = Self.tree(&fuzz)
            do throws(StoreError) {
                _ = try reply.answer(to: fuzz.pick(reads))
                answers += 1
            } catch {
                guard case .protocolViolation = error else {
                    Issue.record("\(error) for \(reply)")
                    return
                }
            }
            _ = SubscriptionTopic.channel(key).meaning(of: [.bulk(bytes("message")), reply, reply])
            _ = RememberedAnswer.outcome(fuzz.mutated(bytes("c 1 22 333"))[...])
            _ = ErrorKind(fuzz.mutated(bytes("EXECABORT Transaction: OOM no")))
            _ = RedisInformation(fuzz.mutated(bytes("a:1\r\nused_memory:5\r\n"))).number("a")
        }
        #expect(answers > 0 && count > answers)
    }
}
