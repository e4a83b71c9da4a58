import Primitives
import VolumeStore

/// Holds a change that this mount makes in the store against what else is heard and fetched meanwhile: a
/// link count that came of it is believed only when nothing came between.
struct OwnChange {
    let inode: InodeID
    fileprivate let generation: UInt64
    fileprivate let state: InodeState?
    fileprivate let fetches: UInt64
    /// Of a directory: what had been heard of its names.
    fileprivate let heard: UInt64

    /// A change of an inode of which it was not known beforehand that it would be changed.
    static func unknown(of inode: InodeID) -> OwnChange {
        // Counts begin at 0 and only go up.
        OwnChange(inode: inode, generation: .max, state: nil, fetches: .max, heard: .max)
    }
}

extension VolumeFileSystem {
    /// Called before the store is told.
    func beginChange(of inode: InodeID) -> OwnChange {
        let generation = generations.current(inode)
        let state = inodes.state(of: inode)
        return OwnChange(
            inode: inode, generation: generation, state: state,
            fetches: state?.withFacts { $0.fetches } ?? 0, heard: heardNames.current(inode))
    }

    /// Called when the store has made the change: from here on nothing that was fetched before is believed.
    /// `body` notes the change in what is known of the inode, and says whether that depends on what was
    /// known. Returns whether nothing has come between.
    @discardableResult
    func endChange(
        _ change: OwnChange, _ body: (inout InodeState.Facts) -> Bool
    ) -> Bool {
        let isFirst = generations.bump(change.inode, from: change.generation)
        guard let state = inodes.state(of: change.inode) else { return isFirst }
        return state.withCommitted { facts in
            let isUndisturbed =
                isFirst && state === change.state && facts.fetches == change.fetches
            if body(&facts), !isUndisturbed { facts.isFresh = false }
            return isUndisturbed
        }
    }

    /// What this change has made of a name of its directory. Forgotten at once when other mounts' changes of
    /// names there were heard meanwhile, which may have come later.
    func noteEntry(_ change: OwnChange, _ name: [UInt8], _ inode: InodeID) {
        entries.replace(parent: change.inode, name: name, inode: inode) {
            heardNames.current(change.inode) == change.heard
        }
    }

    /// An entry of a directory changed here at `time`: its times and link count follow without a fetch.
    func endEntryChange(_ change: OwnChange, at time: Timestamp, addedLinks: Int = 0) {
        endChange(change) { facts in
            facts.entryVersion &+= 1
            facts.record.modificationTime = max(facts.record.modificationTime, time)
            facts.record.changeTime = max(facts.record.changeTime, time)
            facts.record.linkCount = UInt32(clamping: Int(facts.record.linkCount) + addedLinks)
            return addedLinks != 0
        }
    }
}
