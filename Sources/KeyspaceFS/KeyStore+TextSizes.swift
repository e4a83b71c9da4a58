import KeyValue
import Primitives
import Redis

// How long texts are, without reading them.
extension KeyStore {
    /// What bounds the counting.
    private enum TextLimit {
        /// Elements that one command looks at, and bytes of memory: all others wait meanwhile. Measured:
        /// 1 ms for 1,000 elements and 100 KB, 4 ms where every byte has to be escaped; JSON takes four times
        /// as long. Where elements differ so much in size that 16 times as many bytes come, none is counted.
        static let stepElements = 1_000
        static func stepBytes(_ format: KeyspaceOptions.Format) -> Int {
            format == .text ? 256 << 10 : 64 << 10
        }
        /// Keys of one command.
        static let stepKeys = 250
    }

    /// The sizes of the texts of these keys, of any type; `nil` for those that are larger than the limits
    /// or that the server does not let us count. A thousand small ones are some round trips.
    func textSizes(
        of keys: [Bytes], _ options: KeyspaceOptions
    ) throws(Errno) -> [UInt64?] {
        var sizes: [UInt64?] = []
        while sizes.count < keys.count {
            let asked = Array(keys[sizes.count...].prefix(TextLimit.stepKeys))
            let limit = [Bytes(decimal: options.countedElements)]
            guard let answers = try counted(asked, TextLimit.stepElements, limit, options) else {
                sizes += asked.map { _ in nil }
                continue
            }
            guard (1...asked.count).contains(answers.count) else { throw malformed("EVAL_RO") }
            for (key, answer) in zip(asked, answers) {
                sizes.append(try size(of: key, answer, options))
            }
        }
        return sizes
    }

    private func size(
        of key: Bytes, _ answer: Reply, _ options: KeyspaceOptions
    ) throws(Errno) -> UInt64? {
        if case .integer(let size) = answer { return UInt64(exactly: size) }
        guard case .array(let numbers) = answer, numbers.count == 2,
            case .integer(let elements) = numbers[0], case .integer(let bytes) = numbers[1]
        else { throw malformed("EVAL_RO") }
        guard elements <= options.countedElements, bytes <= options.countedBytes else { return nil }
        // So many of them as are likely to stay within what one command may look at.
        let step = Int64(TextLimit.stepBytes(options.format)) * elements / max(bytes, 1)
        return try sizeByParts(key, Int(min(max(step, 1), Int64(TextLimit.stepElements))), options)
    }

    /// Part by part; others may change it meanwhile.
    private func sizeByParts(
        _ key: Bytes, _ page: Int, _ options: KeyspaceOptions
    ) throws(Errno) -> UInt64? {
        guard let type = try type(try perform(RedisCommand("TYPE", key))),
            let (name, first) = Self.beginning(of: type)
        else { return 0 }
        var from = Bytes(first.utf8)
        var size: UInt64 = options.format == .json ? 3 : 0
        // More than the elements that are counted only when somebody adds some all the time.
        for _ in 0...(2 * options.countedElements) {
            let words = [Bytes(name.utf8), from]
            guard let parts = try counted([key], page, words, options) else { return nil }
            guard parts.count == 3, case .integer(let more) = parts[0],
                case .bulk(let next) = parts[2]
            else { throw malformed("EVAL_RO") }
            guard more >= 0 else { return nil }
            size += UInt64(more)
            if next.isEmpty { return size }
            from = next
        }
        return nil
    }

    /// How TYPE names it, and where its first part begins.
    private static func beginning(of type: ValueType) -> (name: String, first: String)? {
        switch type {
        case .list: ("list", "0")
        case .set: ("set", "0")
        case .sortedSet: ("zset", "0")
        case .stream: ("stream", "-")
        case .string, .hash, .other: nil
        }
    }

    /// The answer of the script; `nil` when the server does not carry it out.
    private func counted(
        _ keys: [Bytes], _ elements: Int, _ more: [Bytes], _ options: KeyspaceOptions
    ) throws(Errno) -> [Reply]? {
        let limits = [
            Bytes(options.format.rawValue.utf8), Bytes(decimal: UInt64(elements)),
            Bytes(decimal: UInt64(TextLimit.stepBytes(options.format))),
        ]
        let command = RedisCommand(
            "EVAL_RO", KeyScripts.call(TextSizeScript.text, keys: keys, limits + more))
        let reply = try perform([command], isBulky: true)[0]
        switch reply {
        case .array(let answers): return answers
        case .error:
            noteRefusal(of: "sizes of texts", reply)
            return nil
        case .simple, .integer, .bulk, .null: throw malformed("EVAL_RO")
        }
    }
}
