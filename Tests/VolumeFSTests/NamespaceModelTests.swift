import FileSystem
import Primitives
import TestSupport
import Testing
import VolumeFS

/// Random names made, linked, moved and removed must agree with a plain tree of dictionaries, errors
/// included; and nothing is left in the store when everything is deleted.
@Suite struct NamespaceModelTests {
    @Test(arguments: StoreKind.allCases)
    func `random namespace operations agree with a tree of dictionaries`(_ kind: StoreKind) throws {
        let seed = UInt64.random(in: 1 ... .max)
        var random = SeededRandom(seed: seed)
        let harness = try VolumeHarness(store: kind)
        defer { harness.unmount() }
        var model = NamespaceModel(harness: harness)
        do {
            for step in 0..<1_500 {
                try model.step(&random)
                if step % 500 == 250 { try harness.remount() }
            }
            try model.verify()
            try harness.remount()
            try model.verify()
        } catch {
            Issue.record("seed \(seed), step \(model.steps): \(error)")
        }
    }
}

/// A directory tree beside what it should be.
struct NamespaceModel {
    struct Mismatch: Error, CustomStringConvertible {
        let description: String
    }

    private enum Node: Equatable {
        case file(InodeID)
        case directory(InodeID)

        var inode: InodeID {
            switch self {
            case .file(let inode), .directory(let inode): inode
            }
        }
    }

    let harness: VolumeHarness
    private(set) var steps = 0
    private var tree: [InodeID: [String: Node]] = [.root: [:]]
    private var parents: [InodeID: InodeID] = [:]
    private let names = ["a", "b", "c", "d", "e", "f"]

    init(harness: VolumeHarness) { self.harness = harness }

    mutating func step(_ random: inout SeededRandom) throws {
        steps += 1
        let directory = tree.keys.sorted().randomElement(using: &random) ?? .root
        let name = names.randomElement(using: &random) ?? "a"
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<25: try makeFile(name, directory)
        case 25..<45: try makeDirectory(name, directory)
        case 45..<55: try makeLink(name, directory, &random)
        case 55..<65: try unlink(name, directory)
        case 65..<72: try rmdir(name, directory)
        case 72..<97: try rename(name, directory, &random)
        default: try verify()
        }
    }

    private func check(
        _ what: String, _ expected: Errno?, _ body: () throws -> Void
    ) throws {
        var found: Errno?
        do { try body() } catch let error as Errno { found = error }
        guard found != expected else { return }
        throw Mismatch(
            description: "\(what): \(found.map(\.description) ?? "done"), expected "
                + (expected.map(\.description) ?? "done"))
    }

    private mutating func makeFile(_ name: String, _ directory: InodeID) throws {
        let exists = tree[directory]?[name] != nil
        var made: (InodeID, HandleID)?
        try check("create \(name)", exists ? .exists : nil) {
            made = try harness.volume.create(name, in: directory)
        }
        guard let made else { return }
        try harness.volume.close(made.0, made.1)
        tree[directory]?[name] = .file(made.0)
    }

    private mutating func makeDirectory(_ name: String, _ directory: InodeID) throws {
        let exists = tree[directory]?[name] != nil
        var made: InodeID?
        try check("mkdir \(name)", exists ? .exists : nil) {
            made = try harness.volume.mkdir(name, in: directory)
        }
        guard let made else { return }
        tree[directory]?[name] = .directory(made)
        tree[made] = [:]
        parents[made] = directory
    }

    private mutating func makeLink(
        _ name: String, _ directory: InodeID, _ random: inout SeededRandom
    ) throws {
        let files = tree.values.flatMap(\.values).filter {
            if case .file = $0 { true } else { false }
        }
        guard let node = files.map(\.inode).sorted().randomElement(using: &random) else { return }
        let exists = tree[directory]?[name] != nil
        try check("link \(name)", exists ? .exists : nil) {
            try harness.volume.link(node, name, in: directory)
        }
        if !exists { tree[directory]?[name] = .file(node) }
    }

    private mutating func unlink(_ name: String, _ directory: InodeID) throws {
        let expected: Errno? =
            switch tree[directory]?[name] {
            case nil: .noEntry
            case .directory: .isDirectory
            case .file: nil
            }
        try check("unlink \(name)", expected) {
            try harness.volume.unlink(name, in: directory)
        }
        if expected == nil { tree[directory]?[name] = nil }
    }

    private mutating func rmdir(_ name: String, _ directory: InodeID) throws {
        let expected: Errno? =
            switch tree[directory]?[name] {
            case nil: .noEntry
            case .file: .notDirectory
            case .directory(let inode): tree[inode]?.isEmpty == true ? nil : .directoryNotEmpty
            }
        try check("rmdir \(name)", expected) {
            try harness.volume.rmdir(name, in: directory)
        }
        if expected == nil, let node = tree[directory]?.removeValue(forKey: name) {
            tree[node.inode] = nil
            parents[node.inode] = nil
        }
    }

    private mutating func rename(
        _ name: String, _ directory: InodeID, _ random: inout SeededRandom
    ) throws {
        let newDirectory = tree.keys.sorted().randomElement(using: &random) ?? .root
        let newName = names.randomElement(using: &random) ?? "b"
        let flags: RenameFlags =
            switch Int.random(in: 0..<6, using: &random) {
            case 0: .noReplace
            case 1: .exchange
            default: []
            }
        let source = tree[directory]?[name]
        let target = tree[newDirectory]?[newName]
        let expected = expectation(source, target, newDirectory, directory, flags)
        let what =
            "rename \(directory)/\(name) to \(newDirectory)/\(newName), flags \(flags.rawValue)"
        try check(what, expected) {
            try harness.volume.rename(
                name, in: directory, to: newName, into: newDirectory, flags: flags)
        }
        guard expected == nil, let source, source != target else { return }
        tree[newDirectory]?[newName] = source
        tree[directory]?[name] = flags.contains(.exchange) ? target : nil
        if case .directory = source { parents[source.inode] = newDirectory }
        guard let target, case .directory(let replaced) = target else { return }
        if flags.contains(.exchange) {
            parents[replaced] = directory
        } else {
            tree[replaced] = nil
            parents[replaced] = nil
        }
    }

    /// What rename(2) says, in the order in which Linux looks.
    private func expectation(
        _ source: Node?, _ target: Node?, _ newDirectory: InodeID, _ directory: InodeID,
        _ flags: RenameFlags
    ) -> Errno? {
        guard let source else { return .noEntry }
        if flags.contains(.exchange) {
            guard let target else { return .noEntry }
            if source == target { return nil }
            if isAncestor(source, of: newDirectory) || isAncestor(target, of: directory) {
                return .invalid
            }
            return nil
        }
        if flags.contains(.noReplace), target != nil { return .exists }
        // Kinds come first here; on a mount the kernel looks for the loop first.
        if let target, target != source {
            switch (source, target) {
            case (.file, .directory): return .isDirectory
            case (.directory, .file): return .notDirectory
            case (.file, .file), (.directory, .directory): break
            }
        }
        if isAncestor(source, of: newDirectory) { return .invalid }
        guard let target, target != source, case .directory(let inode) = target else { return nil }
        return tree[inode]?.isEmpty == true ? nil : .directoryNotEmpty
    }

    private func isAncestor(_ node: Node, of directory: InodeID) -> Bool {
        guard case .directory(let inode) = node else { return false }
        var current: InodeID? = directory
        while let at = current {
            if at == inode { return true }
            current = parents[at]
        }
        return false
    }

    /// Every directory lists what it should, and link counts are right.
    func verify() throws {
        var links: [InodeID: UInt32] = [:]
        for (directory, entries) in tree {
            let listed = try harness.volume.list(directory).sorted()
            guard listed == entries.keys.sorted() else {
                throw Mismatch(
                    description: "\(directory) lists \(listed), expected \(entries.keys.sorted())")
            }
            for (name, node) in entries {
                let found = try harness.volume.lookup(name, in: directory).inode
                guard found == node.inode else {
                    throw Mismatch(description: "\(name) is \(found), expected \(node.inode)")
                }
                if case .file = node { links[node.inode, default: 0] += 1 }
            }
            let subdirectories = entries.values.filter {
                if case .directory = $0 { true } else { false }
            }
            links[directory] = 2 + UInt32(subdirectories.count)
        }
        for (inode, count) in links {
            let found = try harness.volume.attributes(inode).linkCount
            guard found == count else {
                throw Mismatch(description: "inode \(inode): \(found) links, expected \(count)")
            }
        }
    }
}
