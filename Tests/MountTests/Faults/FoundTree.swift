import Glibc
import Primitives

/// What a directory of a worker holds: every name, with what is behind it, read in full.
struct FoundTree {
    private enum Node {
        case file([UInt8])
        case directory
        case link(target: String)
        case unreadable(Errno)
    }

    private var nodes: [String: Node] = [:]

    init(_ directory: String) throws(Errno) {
        for name in try Listing.names(directory) where name != "." && name != ".." {
            do throws(Errno) {
                nodes[name] = try Self.read("\(directory)/\(name)")
            } catch {
                nodes[name] = .unreadable(error)
            }
        }
    }

    private static func read(_ path: String) throws(Errno) -> Node {
        let status = try SystemCall.lstat(path)
        switch status.kind {
        case S_IFDIR: return .directory
        case S_IFLNK: return .link(target: try SystemCall.readlink(path))
        default:
            let bytes = try SystemCall.readFile(path)
            guard bytes.count == Int(status.st_size) else { throw .stale }
            return .file(bytes)
        }
    }

    /// Whether the names are those of the tree, but for what is in doubt: the cheap part of `mismatches`.
    func hasNames(of tree: AcknowledgedTree) -> Bool {
        let doubtful = tree.doubtfulNames
        return Set(nodes.keys).subtracting(doubtful) == Set(tree.names.keys).subtracting(doubtful)
    }

    /// What differs from the tree that was acknowledged.
    func mismatches(with tree: AcknowledgedTree) -> [String] {
        var wrong: [String] = []
        for (name, node) in tree.names {
            if let what = mismatch(name, tree.nodes[node]) { wrong.append("\(name): \(what)") }
        }
        for doubt in tree.doubts {
            let states = [doubt.before, doubt.after]
            let isOneOfThem = states.contains { state in
                state.allSatisfy { mismatch($0.key, $0.value.flatMap { tree.nodes[$0] }) == nil }
            }
            if !isOneOfThem {
                let names = doubt.before.keys.sorted()
                wrong.append("\(names): neither as before nor as after an operation in doubt")
            }
        }
        let doubtful = tree.doubtfulNames
        for name in nodes.keys where tree.names[name] == nil && !doubtful.contains(name) {
            wrong.append("\(name): is there, and should not be")
        }
        return wrong.sorted()
    }

    private func mismatch(_ name: String, _ wanted: AcknowledgedTree.Node?) -> String? {
        switch (nodes[name], wanted) {
        case (nil, nil): return nil
        case (nil, _): return "is not there"
        case (.unreadable(let error), _): return "cannot be read: \(error)"
        case (_, nil): return "is there, and should not be"
        case (.file(let bytes), .file(let file)): return file.mismatch(with: bytes)
        case (.directory, .directory): return nil
        case (.link(let target), .link(let other)): return target == other ? nil : "another target"
        case (.file, _), (.directory, _), (.link, _): return "is of another kind"
        }
    }
}
