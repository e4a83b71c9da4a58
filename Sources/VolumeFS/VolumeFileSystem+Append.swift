import FileSystem
import Logging
import Primitives
import VolumeStore

// O_APPEND. Alone, the end of the file is known here; otherwise the store says where the bytes go, so that
// those of two mounts never meet: one trip for the place, one for the bytes, which do not wait for a flush,
// because until they are stored others read zeros there.
extension VolumeFileSystem {
    /// Other changes of the file's data may come first; after this many the last word stands.
    private static let rounds = 8

    /// `believedEnd` is where the kernel thinks the end to be.
    func append(
        _ payload: UnsafeRawBufferPointer, to state: InodeState, believedEnd: FileOffset,
        clearing: PrivilegeClearing
    ) throws(Errno) -> Int {
        let (start, written, isAlone) = try store.whileAlone {
            isAlone throws(Errno) -> (UInt64, Int, Bool) in
            try stripes.withExclusive(state.id) { () throws(Errno) -> (UInt64, Int, Bool) in
                let start = isAlone ? state.record.size : try reserve(payload.count, of: state)
                guard start <= FileOffset.maximum.bytes - UInt64(payload.count) else {
                    throw .fileTooLarge
                }
                let written = try write(
                    payload, to: state, at: FileOffset(start), clearing: clearing)
                return (start, written, isAlone)
            }
        }
        if start != believedEnd.bytes {
            // The kernel may keep the bytes where it believed them to go, and nothing where they went.
            let first = min(start, believedEnd.bytes)
            let last = max(start, believedEnd.bytes) + UInt64(written)
            tellKernel { $0.invalidateInode(state.id, range: first..<last) }
        }
        guard !isAlone else { return written }
        do throws(Errno) {
            try flush(state)
        } catch {
            // The bytes have their place and stay dirty: fsync and close report what becomes of them.
            logger.debug(
                "appended bytes wait for the store",
                metadata: ["inode": "\(state.id)", "error": "\(error)"])
        }
        return written
    }

    /// Makes the file longer in the store; returns where that begins. The caller holds the inode's stripe.
    private func reserve(_ count: Int, of state: InodeState) throws(Errno) -> UInt64 {
        for _ in 0..<Self.rounds {
            // What was written here and makes the file longer has its place before the new bytes.
            if state.withFacts({ $0.pending.size != nil }) { try flush(state) }
            do throws(Errno) {
                let (before, mayHold) = state.withFacts { ($0.record, $0.mayHoldCutBlocks) }
                let start = try store.extend(state.id, before.data, by: count)
                if before.hasStaleTail || mayHold {
                    flushStripes.withExclusive(state.id) {
                        forgetCutBlocks(of: state, from: before)
                    }
                }
                generations.bump(state.id)
                state.withFacts { facts in
                    facts.record.size = max(facts.record.size, start + UInt64(count))
                }
                return start
            } catch {
                guard error == .stale else { throw error }
                // Another mount cut the file to nothing, or it is gone.
                state.withFacts { $0.isFresh = false }
                try refresh(state)
                if state.withFacts({ $0.isRemoved }) { throw .ioError }
            }
        }
        throw .ioError
    }
}
