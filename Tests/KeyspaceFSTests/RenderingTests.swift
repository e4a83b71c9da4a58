import KeyValue
import Testing

@testable import KeyspaceFS

@Suite struct RenderingTests {
    private func bytes(_ text: String) -> Bytes { Bytes(text.utf8) }

    private func text(
        _ type: ValueType, _ format: KeyspaceOptions.Format, _ body: (inout Rendering) -> Void
    ) -> String {
        var rendering = Rendering(type: type, format: format)
        body(&rendering)
        rendering.finish()
        return String(decoding: rendering.text, as: UTF8.self)
    }

    @Test func `a list is one line an element`() {
        let shown = text(.list, .text) { rendering in
            for element in ["a", "", "two\nlines", "back\\slash", "tab\t"] {
                rendering.add(bytes(element))
            }
        }
        #expect(shown == "a\n\ntwo\\nlines\nback\\\\slash\ntab\t\n")
    }

    @Test func `scores come first, ids before their fields`() {
        #expect(
            text(.sortedSet, .text) { $0.add(member: bytes("m\tx"), score: bytes("1.5")) }
                == "1.5\tm\tx\n")
        #expect(
            text(.stream, .text) { $0.add(id: bytes("1-0"), pairs: [bytes("f"), bytes("a\tb")]) }
                == "1-0\tf\ta\\tb\n")
    }

    @Test func `JSON is an array of what JSON can say`() {
        #expect(text(.list, .json) { _ in } == "[]\n")
        #expect(
            text(.list, .json) {
                $0.add(bytes("a\"b\n"))
                $0.add([0xFF, 0x00])
            } == "[\n\"a\\\"b\\u000A\",\n{\"base64\":\"/wA=\"}\n]\n")
        #expect(
            text(.sortedSet, .json) {
                $0.add(member: bytes("m"), score: bytes("-1.5e+20"))
                $0.add(member: bytes("n"), score: bytes("inf"))
            }
                == "[\n{\"member\":\"m\",\"score\":-1.5e+20},\n{\"member\":\"n\",\"score\":\"inf\"}\n]\n"
        )
        #expect(
            text(.stream, .json) { $0.add(id: bytes("1-0"), pairs: [bytes("f"), bytes("v")]) }
                == "[\n{\"id\":\"1-0\",\"fields\":[[\"f\",\"v\"]]}\n]\n")
    }

    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
    ])
    func `base64 is that of RFC 4648`(plain: String, coded: String) {
        #expect(Rendering.base64(bytes(plain)) == bytes(coded))
    }

    @Test(
        arguments: [
            (1_500, "1.500"), (1_000, "1.000"), (1, "0.001"), (120, "0.120"), (60_000, "60.000"),
        ] as [(Int64, String)])
    func `expiries are seconds with decimals`(milliseconds: Int64, text: String) {
        #expect(KeyAttribute.seconds(fromMilliseconds: milliseconds) == text)
        #expect(KeyAttribute.milliseconds(fromSeconds: text) == milliseconds)
    }

    @Test(arguments: [("1.5", 1_500), ("60", 60_000), ("0.12", 120)] as [(String, Int64)])
    func `an expiry can be set with fewer decimals`(text: String, milliseconds: Int64) {
        #expect(KeyAttribute.milliseconds(fromSeconds: text) == milliseconds)
    }

    @Test(arguments: ["", "-1", "1.", "1.0000", "x", "1e3", " 1", "1.x", "9999999999999"])
    func `what is no number of seconds is none`(text: String) {
        #expect(KeyAttribute.milliseconds(fromSeconds: text) == nil)
    }
}
