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

        /// The kernel divides a write by pages when it passes through them and the first one is not complete; a
        /// file that was opened while its mount was alone goes on like that.
        @Test
        func `what is appended to a file that was open before another mount came is all there`()
            throws
        {
            try withMounts(1) { volume in
                let path = volume.paths("log")[0]
                try SystemCall.writeFile(path, "")
                let early = try Descriptor(path, O_WRONLY | O_APPEND)
                try early.write(Array("a".utf8))
                let second = try Mount(
                    of: volume.server, through: "unix://" + volume.server.path, flags: [],
                    limitSeconds: 240)
                defer { second.cleanUp() }
                let theirs = second.path + "/log"
                let count = 1_000
                let other = TestThread(name: "other mount") {
                    do {
                        let file = try Descriptor(theirs, O_WRONLY | O_APPEND)
                        for _ in 0..<count { try file.write([UInt8](repeating: 0x42, count: 99)) }
                    } catch {
                        Issue.record("the other mount: \(error)")
                    }
                }
                for _ in 0..<count { try early.write(Array("01234567".utf8)) }
                other.join()
                for path in [path, theirs] {
                    let found = try SystemCall.readFile(path)
                    #expect(found.count == 1 + count * (8 + 99))
                    let own = found.filter { $0 != 0x42 }
                    #expect(own == Array(("a" + String(repeating: "01234567", count: count)).utf8))
                    // Theirs are whole.
                    let runs = found.split { $0 != 0x42 }
                    #expect(runs.allSatisfy { $0.count.isMultiple(of: 99) })
                }
                try second.unmount()
            }
        }

        /// What was appended on its own host a program finds at once, and of what another mount appends it sees
        /// the size and the bytes together.
        @Test func `who reads beside appends finds whole records up to the end`() throws {
            try withMounts(2) { volume in
                let paths = volume.paths("log")
                try SystemCall.writeFile(paths[0], "")
                let count = 2_000
                let appended = Locked(-1)
                let writers = Locked(2)
                try inParallel(4) { number in
                    guard number > 1 else {
                        defer { writers.withLock { $0 -= 1 } }
                        let file = try Descriptor(paths[number], O_WRONLY | O_APPEND)
                        for record in 0..<count {
                            try file.write(Self.fixedRecord(number, record))
                            if number == 0 { appended.withLock { $0 = record } }
                        }
                        return
                    }
                    let file = try Descriptor(paths[0], O_RDONLY)
                    while writers.withLock({ $0 }) > 0 {
                        let own = appended.withLock { $0 }
                        let size = Int(try file.status().st_size)
                        let start = max(0, size - 8_192) / Self.fixedLength * Self.fixedLength
                        var bytes = try file.read(size - start, at: start)
                        // The kernel looks at the size when it has found the page, which may be gone by
                        // then (docs/SEMANTICS.md); the next read finds the one of now.
                        if bytes.contains(0) { bytes = try file.read(size - start, at: start) }
                        let found = try Self.fixedRecords(
                            bytes.prefix(bytes.count / Self.fixedLength * Self.fixedLength))
                        guard bytes.count >= 8_000 else { continue }
                        let last = found[0]?.last ?? -1
                        #expect(
                            last >= own || start > 0 && found[0] == nil, "own \(own) of \(size)")
                    }
                }
                let all = Array(0..<count)
                for path in paths {
                    let found = try Self.fixedRecords(try SystemCall.readFile(path)[...])
                    #expect(found == [0: all, 1: all])
                }
            }
        }

        private static let fixedLength = 100

        private static func fixedRecord(_ writer: Int, _ number: Int) -> [UInt8] {
            let text = Array("<\(writer) \(number)>".utf8)
            return text + [UInt8](repeating: UInt8(ascii: "x"), count: fixedLength - text.count)
        }

        /// The numbers of each writer's records, in order.
        private static func fixedRecords(_ bytes: ArraySlice<UInt8>) throws -> [Int: [Int]] {
            try records(Array(bytes), length: fixedLength)
        }

        @Test(arguments: ["none", "lz4"])
        func `appends and another mount's cuts leave whole records and no gap`(
            _ codec: String
        ) throws {
            let length = 997  // of a record; blocks of 4 KiB, so that many records lie in two
            try withMounts(3, layout: ["--codec", codec, "--block-size", "4K"]) { volume in
                let paths = volume.paths("log")
                try SystemCall.writeFile(paths[0], "")
                print("appends and cuts: seed \(Scale.seed)")
                volume.disturb(seed: Scale.seed)
                let cuts = Locked(0)
                // Records whose writing began behind the last cut, by writer.
                let young = Locked<[Int: [Int]]>([:])
                try inParallel(5) { number in
                    guard number > 0 else {
                        var random = SeededRandom(seed: Scale.seed)
                        for _ in 0..<40 {
                            let file = try Descriptor(paths[0], O_RDWR | O_APPEND)
                            let records = Int(try file.status().st_size) / length
                            guard records > 0 else { continue }
                            // Writers that have begun may come before the cut or behind it.
                            try file.truncate(Int.random(in: 1...records, using: &random) * length)
                            cuts.withLock { $0 += 1 }
                            young.withLock { $0 = [:] }
                            try file.write([UInt8](repeating: UInt8(ascii: "0"), count: length))
                        }
                        return
                    }
                    let file = try Descriptor(paths[1 + number % 2], O_WRONLY | O_APPEND)
                    for record in 0..<60 {
                        let before = cuts.withLock { $0 }
                        let text = Array("<\(number) \(record)>".utf8)
                        try file.write(
                            text + [UInt8](repeating: UInt8(ascii: "x"), count: length - text.count)
                        )
                        young.withLock { young in
                            if cuts.withLock({ $0 }) == before {
                                young[number, default: []].append(record)
                            }
                        }
                    }
                }
                for path in paths {
                    let found = try Self.records(try SystemCall.readFile(path), length: length)
                    for (writer, records) in young.withLock({ $0 }) {
                        let own = found[writer] ?? []
                        #expect(own == own.sorted() && Set(own).count == own.count)
                        #expect(Set(records).isSubset(of: own), "writer \(writer)")
                    }
                }
            }
        }

        /// The numbers of each writer's records, in order; writer 0 has none.
        private static func records(_ bytes: [UInt8], length: Int) throws -> [Int: [Int]] {
            guard bytes.count.isMultiple(of: length) else {
                throw AppendLog.Damage(description: "\(bytes.count) bytes")
            }
            var found: [Int: [Int]] = [:]
            for start in stride(from: 0, to: bytes.count, by: length) {
                let record = bytes[start..<start + length]
                if record.allSatisfy({ $0 == UInt8(ascii: "0") }) { continue }
                let parts = record.split(separator: UInt8(ascii: ">"), maxSplits: 1)
                let words = parts[0].dropFirst().split(separator: UInt8(ascii: " "))
                guard parts.count == 2, words.count == 2,
                    parts[1].allSatisfy({ $0 == UInt8(ascii: "x") }),
                    let writer = Int(String(decoding: words[0], as: UTF8.self)),
                    let number = Int(String(decoding: words[1], as: UTF8.self))
                else {
                    let text = String(decoding: record.prefix(40), as: UTF8.self)
                    throw AppendLog.Damage(
                        description: "at byte \(start): \(text.debugDescription)")
                }
                found[writer, default: []].append(number)
            }
            return found
        }
    }
}

/// Records of several writers in one file: each says who wrote it, which one it is, and how long it is.
struct AppendLog {
    struct Damage: Error, CustomStringConvertible {
        let description: String
    }

    private static let longestFilling = 3_000

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
                repeating: "x", count: Int.random(in: 0...longestFilling, using: &random))
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

    init(parsing bytes: [UInt8]) throws {
        let filling = [UInt8](repeating: UInt8(ascii: "x"), count: Self.longestFilling)
        var position = 0
        while position < bytes.count {
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
                length <= filling.count,
                bytes[start..<start + length].elementsEqual(filling[..<length])
            else { throw Damage(description: "a record at byte \(position) is not whole") }
            sequences[writer, default: []].append(number)
            position = start + length + 1
        }
    }
}
