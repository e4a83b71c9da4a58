import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests {
    /// O_APPEND from several mounts at once.
    @Suite struct SharedAppendTests {
        @Test func `appends from several mounts are all there, each whole`() throws {
            try withMounts(3) { volume in
                let paths = volume.paths("log")
                try SystemCall.writeFile(paths[0], "")
                try inParallel(6) { number in
                    try AppendLog.write(
                        to: paths[number % 3], writer: number, records: 60, isReopening: number > 2)
                }
                for path in paths {
                    let log = try AppendLog(parsing: SystemCall.readFile(path))
                    for writer in 0..<6 {
                        #expect(log.sequences[writer] == Array(0..<60), "writer \(writer)")
                    }
                }
            }
        }

        @Test func `an append of the kernel's cached end goes to the true one`() throws {
            try withMounts(2) { volume in
                let paths = volume.paths("log")
                try SystemCall.writeFile(paths[0], "start")
                let files = try paths.map { try Descriptor($0, O_RDWR | O_APPEND) }
                var expected = Array("start".utf8)
                for round in 0..<20 {
                    for (number, file) in files.enumerated() {
                        let text = Array("<\(round) of \(number)>".utf8)
                        try file.write(text)
                        expected += text
                    }
                }
                for path in paths { #expect(try SystemCall.readFile(path) == expected) }
                for file in files { #expect(try file.read(10_000, at: 0) == expected) }
            }
        }
    }
}

/// Records of several writers in one file: each says who wrote it, which one it is, and how long it is.
struct AppendLog {
    struct Damage: Error, CustomStringConvertible {
        let description: String
    }

    /// The numbers of each writer's records, in order of appearance.
    private(set) var sequences: [Int: [Int]] = [:]

    static func write(
        to path: String, writer: Int, records: Int, isReopening: Bool,
        seed: UInt64 = 1, onWritten: (Int) -> Void = { _ in }
    ) throws {
        var random = SeededRandom(seed: seed &+ UInt64(writer))
        var file = try Descriptor(path, O_WRONLY | O_APPEND)
        for number in 0..<records {
            let filling = String(
                repeating: "x", count: Int.random(in: 0...3_000, using: &random))
            let record = Array("<\(writer) \(number) \(filling.count) \(filling)>".utf8)
            let count = try file.write(record)
            guard count == record.count else { throw Damage(description: "a short append") }
            if isReopening, number % 5 == 4 {
                try file.close()
                onWritten(number)
                file = try Descriptor(path, O_WRONLY | O_APPEND)
            }
        }
        try file.close()
        onWritten(records - 1)
    }

    /// `allowsGaps`: zeros where an append was given its place by a daemon that died then.
    init(parsing bytes: [UInt8], allowsGaps: Bool = false) throws {
        var position = 0
        while position < bytes.count {
            if allowsGaps, bytes[position] == 0 {
                position += 1
                continue
            }
            let header = bytes[position..<min(position + 40, bytes.count)]
            let words = header.split(
                separator: UInt8(ascii: " "), maxSplits: 3, omittingEmptySubsequences: false)
            guard words.count == 4, words[0].first == UInt8(ascii: "<"),
                let writer = Int(String(decoding: words[0].dropFirst(), as: UTF8.self)),
                let number = Int(String(decoding: words[1], as: UTF8.self)),
                let length = Int(String(decoding: words[2], as: UTF8.self))
            else {
                throw Damage(
                    description: "byte \(position): "
                        + String(decoding: header, as: UTF8.self))
            }
            let start = words[3].startIndex
            guard start + length < bytes.count, bytes[start + length] == UInt8(ascii: ">"),
                bytes[start..<start + length].allSatisfy({ $0 == UInt8(ascii: "x") })
            else { throw Damage(description: "a record at byte \(position) is not whole") }
            sequences[writer, default: []].append(number)
            position = start + length + 1
        }
    }
}
