import FileSystem
import KeyValue
import Primitives

/// Decides how far `alloc` is raised (docs/FORMAT.md, "alloc").
enum Allocation {
    /// The largest stride.
    static let maximumStride: UInt64 = 4_096
    /// Blocks this far behind the dense ones are registered by chunk instead, so that deleting a file
    /// never tries more keys than it may have.
    static let farBlocks: UInt64 = 65_536

    /// Where the dense part ends after it grew from `dense` to hold `blocks` blocks.
    static func grown(from dense: UInt64, toHold blocks: UInt64) -> UInt64 {
        let stride = dense == 0 ? 1 : min(dense * 3, maximumStride)
        return max(dense + stride, blocks)
    }

    /// The next stride, when what is stored now fills most of this one: raised in the same batch, so
    /// that a file that grows steadily needs no trips of their own. Not for a file of one block.
    static func ahead(of changes: [BlockChange], _ entry: KnownInodes.Entry) -> UInt64? {
        guard entry.dense == nil, let last = changes.map(\.address.index.rawValue).max(),
            last >= 1, last < entry.alloc, (last + 1) * 4 > entry.alloc * 3
        else { return nil }
        return grown(from: entry.alloc, toHold: 0)
    }
}

extension VolumeStore {
    /// Makes sure that every index is below `alloc` (or in a registered chunk), and, when the blocks
    /// will lie behind the size, that the inode names this session as its extender.
    func allocate(
        _ indexes: [UInt64], of inode: InodeID, _ entry: inout KnownInodes.Entry, extends: Bool
    ) throws(Errno) {
        let session = sessionID
        for _ in 0..<Rounds.decisions {
            let dense = entry.dense ?? entry.alloc
            let needsExtender = extends && !indexes.isEmpty && entry.extender != session
            let near = indexes.filter { $0 >= dense && $0 - dense < Allocation.farBlocks }.max()
            let newDense = near.map { Allocation.grown(from: dense, toHold: $0 + 1) } ?? dense
            let far = Set(indexes.filter { $0 >= newDense }.map(Chunk.init(of:)))
                .subtracting(entry.chunks)
            guard newDense > dense || !far.isEmpty || needsExtender else { return }
            guard let last = indexes.max(), last < RecordLimits.blocks - 1 else {
                throw .fileTooLarge
            }
            let isSparse = entry.dense != nil || !far.isEmpty
            let alloc = max(entry.alloc, newDense, far.isEmpty ? 0 : last + 1)
            let key = schema.inode(inode)
            var mutations: [Mutation] = []
            if alloc > entry.alloc {
                mutations.append(.raise(key: key, field: Field.alloc, to: Int64(alloc)))
            }
            if isSparse, newDense > dense || entry.dense == nil {
                mutations.append(.raise(key: key, field: Field.dense, to: Int64(newDense)))
            }
            if needsExtender {
                mutations.append(
                    .setFields(
                        key: key, [Pair(Field.extender, Bytes(decimal: session.rawValue))]))
            }
            if !far.isEmpty {
                mutations.append(
                    .setFields(key: schema.chunks(entry.data), far.map(\.pair)))
            }
            let outcome = try commit(
                [
                    .fieldEquals(
                        key: key, field: Field.data, value: Bytes(decimal: entry.data.rawValue)),
                    entry.dense == nil
                        ? .fieldAbsent(key: key, field: Field.dense)
                        : .fieldExists(key: key, field: Field.dense),
                ] + (isSparse && entry.dense == nil ? [allocCondition(inode, entry)] : []),
                mutations)
            switch outcome {
            case .committed:
                entry.alloc = alloc
                if isSparse { entry.dense = newDense }
                if needsExtender { entry.extender = session }
                entry.note(chunks: far)
                let after = entry
                known.update(inode) { $0 = after }
                return
            case .conditionFailed(0):
                known.forget(inode)
                throw .stale
            case .conditionFailed:
                known.forget(inode)
                entry = try knownEntry(inode, entry.data)
            }
        }
        throw tooManyRounds("raising alloc")
    }

    /// For the batch that makes a file sparse: where its dense part ends is all that was ever below `alloc`.
    private func allocCondition(_ inode: InodeID, _ entry: KnownInodes.Entry) -> Condition {
        let key = schema.inode(inode)
        return entry.alloc == 0
            ? .fieldAbsent(key: key, field: Field.alloc)
            : .fieldEquals(key: key, field: Field.alloc, value: Bytes(decimal: entry.alloc))
    }
}
