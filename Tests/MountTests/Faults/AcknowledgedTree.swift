import Primitives

/// What a directory of one worker has to hold, from the answers that the worker got. A value: what stands
/// here was answered with success, unless it says that it is in doubt.
struct AcknowledgedTree {
    enum Node {
        case file(AcknowledgedFile)
        case directory
        case link(target: String)
    }

    /// Two states of some names, one of which holds: an operation on them failed, or the answer was lost.
    struct Doubt {
        var before: [String: Int?]
        var after: [String: Int?]
    }

    private(set) var names: [String: Int] = [:]
    private(set) var nodes: [Int: Node] = [:]
    private(set) var doubts: [Doubt] = []
    private var nextNode = 0

    /// The doubtful names are not in `names`, and are not to be used again.
    var doubtfulNames: Set<String> { Set(doubts.flatMap { $0.before.keys }) }

    mutating func make(_ node: Node) -> Int {
        nextNode += 1
        nodes[nextNode] = node
        return nextNode
    }

    /// An operation on names that was acknowledged.
    mutating func apply(_ after: [String: Int?]) {
        for (name, node) in after { names[name] = node }
    }

    /// An operation on names about which nobody knows whether it happened.
    mutating func doubt(_ after: [String: Int?]) {
        var before: [String: Int?] = [:]
        for name in after.keys {
            before.updateValue(names[name], forKey: name)
            names[name] = nil
        }
        doubts.append(Doubt(before: before, after: after))
    }

    func file(_ node: Int) -> AcknowledgedFile? {
        guard case .file(let file)? = nodes[node] else { return nil }
        return file
    }

    mutating func change(_ node: Int, _ body: (inout AcknowledgedFile) -> Void) {
        guard var file = file(node) else { return }
        nodes[node] = nil
        body(&file)
        nodes[node] = .file(file)
    }
}

/// What a file has to hold: bytes that a fsync or close has acknowledged, and bytes written since, each of
/// which may be there or not.
struct AcknowledgedFile {
    private struct Write {
        var offset: Int
        var bytes: [UInt8]

        var end: Int { offset + bytes.count }
    }

    private(set) var durable: [UInt8] = []
    private var pending: [Write] = []
    /// Sizes that a truncation whose answer was lost may have left.
    private var sizesInDoubt: [Int] = []
    /// A write or a truncation failed, so the file is not to be used again.
    private(set) var isAbandoned = false

    var isPending: Bool { !pending.isEmpty }

    /// What a reader on the same mount has to see.
    var current: [UInt8] {
        pending.reduce(into: durable) { bytes, write in
            if bytes.count < write.end {
                bytes += [UInt8](repeating: 0, count: write.end - bytes.count)
            }
            bytes.replaceSubrange(write.offset..<write.end, with: write.bytes)
        }
    }

    mutating func write(_ bytes: [UInt8], at offset: Int) {
        pending.append(Write(offset: offset, bytes: bytes))
    }

    /// fsync or close was acknowledged.
    mutating func sync() {
        precondition(!isAbandoned, "a file in doubt is synced")
        durable = current
        pending = []
    }

    /// A truncation was acknowledged. Nothing may be pending.
    mutating func truncate(to size: Int) {
        precondition(pending.isEmpty, "the workload syncs before it truncates")
        if size < durable.count {
            durable.removeSubrange(size...)
        } else {
            durable += [UInt8](repeating: 0, count: size - durable.count)
        }
    }

    mutating func doubtTruncation(to size: Int) {
        sizesInDoubt.append(size)
        isAbandoned = true
    }

    mutating func abandon() { isAbandoned = true }

    /// What is wrong with `found`; `nil` if it may be what the file holds now.
    func mismatch(with found: [UInt8]) -> String? {
        if pending.isEmpty, sizesInDoubt.isEmpty {
            if found == durable { return nil }
        } else if found == current {
            return nil
        }
        let ends = pending.map(\.end) + sizesInDoubt + [durable.count]
        let sizes = (sizesInDoubt + [durable.count]).reduce(durable.count, min)...(ends.max() ?? 0)
        guard sizes.contains(found.count) else {
            return "\(found.count) bytes instead of \(sizes), \(durable.count) synced"
        }
        for (index, byte) in found.enumerated() {
            let isDurable = index < durable.count ? byte == durable[index] : byte == 0
            if isDurable { continue }
            let isPending = pending.contains {
                ($0.offset..<$0.end).contains(index) && $0.bytes[index - $0.offset] == byte
            }
            if !isPending { return lost(found, index) }
        }
        return nil
    }

    private func lost(_ found: [UInt8], _ first: Int) -> String {
        let wanted = first < durable.count ? "\(durable[first])" : "0"
        return "byte \(first) of \(found.count) is \(found[first]) instead of \(wanted); "
            + "\(durable.count) are synced"
    }
}
