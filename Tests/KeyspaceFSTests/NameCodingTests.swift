import KeyValue
import TestSupport
import Testing

@testable import KeyspaceFS

@Suite struct NameCodingTests {
    private let coding = NameCoding(separator: UInt8(ascii: ":"))

    private func bytes(_ text: String) -> Bytes { Bytes(text.utf8) }
    private func text(_ bytes: Bytes?) -> String? {
        bytes.map { String(decoding: $0, as: UTF8.self) }
    }

    @Test(arguments: [
        ("plain", "plain"), ("", "%empty"), (".", "%2E"), ("..", "%2E%2E"), ("...", "..."),
        ("a/b", "a%2Fb"), ("\0", "%00"), ("100%", "100%"), ("50% off", "50% off"), ("%2F", "%252F"),
        ("%252F", "%25252F"), ("%25", "%25"), ("%empty", "%25empty"), ("a%value", "a%25value"),
        ("%more", "%25more"), ("a%3Ab", "a:b"), ("a%253Ab", "a%3Ab"), ("%2f", "%2f"), ("%", "%"),
        ("%%2F", "%%252F"), ("%2/", "%2%2F"),
    ])
    func `a part has one name, and the name leads back`(part: String, name: String) {
        #expect(text(coding.name(of: bytes(part))) == name)
        #expect(text(coding.part(of: bytes(name))) == part)
    }

    @Test(arguments: [
        "a", "a.b", "x:y", "50%.txt", "100%25", "a%3Ab", ".git", "a b", "a%25value", ":", "%3A:",
    ])
    func `a name that somebody chooses stays as it is`(name: String) throws {
        let part = try #require(coding.part(of: bytes(name)))
        #expect(!part.contains(UInt8(ascii: ":")))
        #expect(text(coding.name(of: part)) == name)
    }

    @Test(arguments: ["", "a%value", "%more", "b%empty"])
    func `a name with a mark in the wrong place stands for nothing`(name: String) {
        #expect(coding.part(of: bytes(name)) == nil)
    }

    @Test(arguments: [UInt8(ascii: ":"), UInt8(ascii: "/"), UInt8(ascii: "."), 0xFF, 10])
    func `all bytes and all texts made of escapes come back`(separator: UInt8) throws {
        let coding = NameCoding(separator: separator)
        var random = SeededRandom(seed: 7)
        let pieces = ["%", "25", "2F", "00", "2E", "3A", "empty", "value", "more", ".", "/", "x"]
            .map { Bytes($0.utf8) }
        for _ in 0..<1_500 {
            var part = Bytes()
            for _ in 0..<random.below(8) {
                part +=
                    random.below(3) == 0
                    ? [UInt8(random.below(256))] : pieces[random.below(pieces.count)]
            }
            part.removeAll { $0 == separator }
            let name = coding.name(of: part)
            let isName =
                !name.contains(0) && (separator == 47 || !name.contains(47)) && !name.isEmpty
                && name != bytes(".") && name != bytes("..")
            let back = coding.part(of: name)
            // The key of a field has no dot but its first byte.
            let stem = coding.name(of: part, escapingDots: true)
            let isStem = separator == 46 || !stem.dropFirst().contains(46)
            guard isName, back == part, isStem, coding.part(of: stem) == part else {
                Issue.record("seed 7: \(part) became \(name) and \(stem), then \(back ?? [])")
                return
            }
        }
    }

    @Test func `without a separator everything but slash and NUL stands for itself`() {
        let whole = NameCoding(separator: nil)
        for byte in UInt8.min...UInt8.max where byte != 0 && byte != 47 && byte != 46 {
            #expect(whole.name(of: [byte]) == [byte])
        }
        #expect(text(whole.name(of: bytes("a:b%3A"))) == "a:b%3A")
    }
}
