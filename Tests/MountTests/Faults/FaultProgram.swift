import Glibc
import Primitives
import TestSupport

/// Random operations on one directory, each noted in an `AcknowledgedTree` according to its answer.
struct FaultProgram {
    struct Result {
        var what: String
        var error: Errno?
        /// The tree with what was written and not yet synced, and when it was so.
        var beforeSync: (instant: Deadline, tree: AcknowledgedTree)?
    }

    private static let maximumNames = 24
    private static let maximumFileBytes = 400_000

    private let directory: String
    private var random: SeededRandom
    private var nextName = 0
    private(set) var tree = AcknowledgedTree()

    init(directory: String, seed: UInt64) {
        self.directory = directory
        random = SeededRandom(seed: seed)
    }

    /// One operation; of those that write and read if no names are to change.
    mutating func step(keepsNames: Bool = false) -> Result {
        if keepsNames, pickFile() != nil {
            return random.next() % 4 == 0 ? readFile() : changeFile()
        }
        let names = tree.names.count
        switch random.next() % 16 {
        case 0..<4 where names < Self.maximumNames: return makeFile()
        case 0..<8: return changeFile()
        case 8: return truncateFile()
        case 9, 10: return rename()
        case 11, 12: return remove()
        case 13: return names < Self.maximumNames ? makeOther() : remove()
        case 14: return link()
        default: return readFile()
        }
    }

    /// Syncs every file that holds writes which no fsync or close has acknowledged.
    mutating func syncAll() -> Result {
        for (name, node) in tree.names {
            guard let file = tree.file(node), file.isPending, !file.isAbandoned else { continue }
            let result = perform("sync \(name) at the end") { () throws(Errno) in
                let file = try Descriptor(path(name), O_RDWR)
                try file.sync()
                try file.close()
            }
            if result.error != nil { return result }
            tree.change(node) { $0.sync() }
        }
        return Result(what: "sync of all", error: nil)
    }

    // MARK: Files

    private mutating func makeFile() -> Result {
        let name = newName()
        let file: Descriptor
        do throws(Errno) {
            file = try Descriptor(path(name), O_RDWR | O_CREAT | O_EXCL)
        } catch {
            tree.doubt([name: tree.make(.file(AcknowledgedFile()))])
            return Result(what: "create \(name)", error: error)
        }
        let node = tree.make(.file(AcknowledgedFile()))
        tree.apply([name: node])
        return write(file, node, name)
    }

    private mutating func changeFile() -> Result {
        guard let (name, node) = pickFile() else { return makeFile() }
        let file: Descriptor
        do throws(Errno) {
            file = try Descriptor(path(name), O_RDWR)
        } catch {
            return Result(what: "open \(name)", error: error)
        }
        return write(file, node, name)
    }

    /// Some writes, then maybe a fsync, then mostly a close.
    private mutating func write(_ file: Descriptor, _ node: Int, _ name: String) -> Result {
        for _ in 0...random.next() % 3 {
            let size = tree.file(node)?.current.count ?? 0
            let offset = Int(random.next() % UInt64(size + 5_000))
            let limit = max(1, min(130_000, Self.maximumFileBytes - offset))
            let count = 1 + Int(random.next() % UInt64(limit))
            let bytes = Bytes.pattern(count, seed: random.next())
            do throws(Errno) {
                let written = try file.write(bytes, at: offset)
                tree.change(node) { $0.write(Array(bytes[..<written]), at: offset) }
            } catch {
                tree.change(node) { file in
                    file.write(bytes, at: offset)
                    file.abandon()
                }
                return Result(what: "write \(name)", error: error)
            }
        }
        let beforeSync = (Deadline.now, tree)
        if random.next() % 3 == 0 {
            let result = perform("fsync \(name)") { () throws(Errno) in try file.sync() }
            if result.error != nil { return result }
            tree.change(node) { $0.sync() }
        }
        var result = perform("close \(name)") { () throws(Errno) in try file.close() }
        if result.error == nil { tree.change(node) { $0.sync() } }
        result.beforeSync = beforeSync
        return result
    }

    private mutating func truncateFile() -> Result {
        guard let (name, node) = pickFile(), tree.file(node)?.isPending == false else {
            return makeFile()
        }
        let size = Int(random.next() % UInt64(Self.maximumFileBytes))
        let result = perform("truncate \(name) to \(size)") { () throws(Errno) in
            try SystemCall.truncate(path(name), size)
        }
        tree.change(node) { file in
            if result.error == nil {
                file.truncate(to: size)
            } else {
                file.doubtTruncation(to: size)
            }
        }
        return result
    }

    private mutating func readFile() -> Result {
        guard let (name, node) = pickFile(), let wanted = tree.file(node)?.current else {
            return makeFile()
        }
        do throws(Errno) {
            let found = try SystemCall.readFile(path(name))
            guard found == wanted else {
                return Result(what: "read \(name) finds other bytes than written", error: .invalid)
            }
            return Result(what: "read \(name)", error: nil)
        } catch {
            return Result(what: "read \(name)", error: error)
        }
    }

    // MARK: Names

    private mutating func makeOther() -> Result {
        let name = newName()
        let isDirectory = random.next() % 2 == 0
        let node = tree.make(isDirectory ? .directory : .link(target: "to-\(name)"))
        return changeNames("make \(name)", [name], [name: node]) { (paths) throws(Errno) in
            if isDirectory {
                try SystemCall.mkdir(paths[0])
            } else {
                try SystemCall.symlink("to-\(name)", paths[0])
            }
        }
    }

    private mutating func rename() -> Result {
        guard let (name, node) = pick() else { return makeFile() }
        var target = newName()
        if case .directory? = tree.nodes[node] {
        } else if random.next() % 2 == 0, let (other, replaced) = pickFile(), replaced != node {
            target = other
        }
        let after: [String: Int?] = [name: nil, target: node]
        return changeNames("rename \(name) to \(target)", [name, target], after) {
            (paths) throws(Errno) in
            try SystemCall.rename(paths[0], paths[1])
        }
    }

    private mutating func link() -> Result {
        guard tree.names.count < Self.maximumNames, let (name, node) = pickFile() else {
            return remove()
        }
        let other = newName()
        return changeNames("link \(name) to \(other)", [name, other], [other: node]) {
            (paths) throws(Errno) in
            try SystemCall.link(paths[0], paths[1])
        }
    }

    private mutating func remove() -> Result {
        guard let (name, node) = pick() else { return makeFile() }
        let isDirectory = if case .directory? = tree.nodes[node] { true } else { false }
        return changeNames("remove \(name)", [name], [name: nil]) { (paths) throws(Errno) in
            if isDirectory {
                try SystemCall.rmdir(paths[0])
            } else {
                try SystemCall.unlink(paths[0])
            }
        }
    }

    /// `body` is given the paths of `names`.
    private mutating func changeNames(
        _ what: String, _ names: [String], _ after: [String: Int?],
        _ body: ([String]) throws(Errno) -> Void
    ) -> Result {
        let paths = names.map { path($0) }
        let result = perform(what) { () throws(Errno) in try body(paths) }
        if result.error == nil { tree.apply(after) } else { tree.doubt(after) }
        return result
    }

    // MARK: Choosing

    private func perform(_ what: String, _ body: () throws(Errno) -> Void) -> Result {
        do throws(Errno) {
            try body()
            return Result(what: what, error: nil)
        } catch {
            return Result(what: what, error: error)
        }
    }

    private func path(_ name: String) -> String { "\(directory)/\(name)" }

    private mutating func newName() -> String {
        nextName += 1
        return "n\(nextName)"
    }

    private mutating func pick() -> (String, Int)? {
        let names = tree.names.sorted { $0.key < $1.key }
        guard !names.isEmpty else { return nil }
        let chosen = names[Int(random.next() % UInt64(names.count))]
        return (chosen.key, chosen.value)
    }

    /// A file that nothing is in doubt about.
    private mutating func pickFile() -> (String, Int)? {
        let names = tree.names.filter { tree.file($0.value)?.isAbandoned == false }
            .sorted { $0.key < $1.key }
        guard !names.isEmpty else { return nil }
        let chosen = names[Int(random.next() % UInt64(names.count))]
        return (chosen.key, chosen.value)
    }
}
