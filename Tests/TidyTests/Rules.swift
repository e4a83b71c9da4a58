import Foundation

/// One rule of docs/CONVENTIONS.md that a program can hold: finds what breaks it in a file.
struct Rule: Sendable {
    let name: String
    /// `nil` for lines that keep it, else what is wrong.
    let judge: @Sendable (SourceTree.File) -> [String]

    func violations(in files: [SourceTree.File]) -> [String] {
        files.flatMap { file in judge(file).map { "\(file.path)\($0)" } }
    }

    private static func lines(
        _ name: String, _ judge: @escaping @Sendable (String) -> String?
    ) -> Rule {
        Rule(name: name) { file in
            file.lines.enumerated().compactMap { index, line in
                judge(line).map { ":\(index + 1): \($0)" }
            }
        }
    }

    static let maximumLines = 600
    static let maximumColumns = 100
    static let maximumCommentColumns = 112
    static let maximumStringColumns = 120

    static let length = Rule(name: "length") { file in
        file.lines.count > maximumLines + 1 ? [": \(file.lines.count) lines"] : []
    }

    /// Code is wrapped by `swift format`; it leaves comments and strings as they are.
    static let width = lines("width") { line in
        let text = line.drop { $0 == " " }
        let limit =
            if text.hasPrefix("//") { maximumCommentColumns } else if text.contains("\"") {
                maximumStringColumns
            } else { maximumColumns }
        return line.count > limit ? "\(line.count) columns" : nil
    }

    static let fileNames = Rule(name: "file names") { file in
        let words = ["Util", "Helper", "Common", "Manager", "Misc"]
        return words.filter { file.name.contains($0) }.map { ": is called \($0)" }
    }

    static let unfinished = lines("unfinished") { line in
        ["TODO", "FIXME", "XXX"].first { line.contains($0) }
    }

    static let swallowedErrors = lines("swallowed errors") { line in
        // Not the end of `entry?`.
        let code = " " + withoutComment(line)
        return ["try!", "try?", "fatalError("].first { word in
            code.ranges(of: word).contains { !code[code.index(before: $0.lowerBound)].isLetter }
        }
    }

    /// Key names are made in VolumeStore/Schema.swift and nowhere else.
    static let keys = Rule(name: "keys") { file in
        guard !file.path.hasSuffix("VolumeStore/Schema.swift") else { return [] }
        return file.lines.enumerated().compactMap { index, line in
            let code = withoutComment(line)
            return ["Bytes(\"{", "/b{"].contains { code.contains($0) }
                ? ":\(index + 1): makes a key" : nil
        }
    }

    static let mutexes = lines("mutexes") { line in
        withoutComment(line).contains("Mutex<") || withoutComment(line).contains("Mutex(")
            ? "Synchronization.Mutex; use Locked" : nil
    }

    static let waitingTests = lines("waiting tests") { line in
        let code = withoutComment(line)
        return ["Thread.sleep", "Task.sleep", " sleep("].first { code.contains($0) }
    }

    /// What a plain thread finds wrong belongs to no test.
    static let plainThreads = lines("plain threads") { line in
        let code = withoutComment(line)
        return ["WorkerThread(", "Thread {"].first { word in
            code.ranges(of: word).contains { range in
                range.lowerBound == code.startIndex
                    || !code[code.index(before: range.lowerBound)].isLetter
            }
        }
    }

    /// The text before `//`, unless that stands in a string.
    static func withoutComment(_ line: String) -> String {
        guard let comment = line.range(of: "//") else { return line }
        let before = line[..<comment.lowerBound]
        let quotes = before.filter { $0 == "\"" }.count
        return quotes.isMultiple(of: 2) ? String(before) : line
    }
}
