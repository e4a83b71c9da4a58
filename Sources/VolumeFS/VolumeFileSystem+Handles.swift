import FileSystem
import Primitives
import VolumeStore

// File handles (name_to_handle_at(2), NFS export): a number and a generation, which the kernel turns into an
// inode long after it has forgotten it, by looking "." up below the number, and ".." for the way to the root.
extension VolumeFileSystem {
    public var servesHandles: Bool { true }
    public var mayChangeElsewhere: Bool { store.isShared }

    /// The inode itself, whatever its kind, or the directory that holds it. ESTALE when it is gone or has
    /// lost its last name; ENOTDIR for the parent of what is no directory. At most one round trip for
    /// each inode that is not known.
    func answer(_ dots: FileName.Dots, of inode: InodeID) throws(Errno) -> EntryAnswer {
        switch dots {
        case .itself: return try referenced(inode)
        case .parent:
            let record = try named(inode).record
            guard record.kind == .directory else { throw .notDirectory }
            return try referenced(record.parent)
        }
    }

    private func referenced(_ inode: InodeID) throws(Errno) -> EntryAnswer {
        let state = try named(inode)
        let isKnown = inodes.isReferenced(inode)
        inodes.addReference(inode)
        return answer(state, isKnown: isKnown)
    }

    private func named(_ inode: InodeID) throws(Errno) -> InodeState {
        let state = try freshState(of: inode)
        guard state.withFacts({ !$0.isRemoved && $0.record.linkCount > 0 }) else { throw .stale }
        return state
    }

    /// What a handle holds beside the number. A volume never gives a number out twice, but the next one in
    /// the same place begins again. The kernel makes the root itself, with 0.
    func generation(of inode: InodeID) -> UInt64 {
        inode == .root ? 0 : volumeGeneration
    }
}

extension FileName {
    enum Dots { case itself, parent }

    /// What a name of dots alone means. `/` is the name that the kernel has for what it found by a handle and
    /// for which it knows no other; so it asks for it below itself.
    var dots: Dots? {
        guard let first = bytes.first, bytes.count <= 2 else { return nil }
        switch (first, bytes.count) {
        case (UInt8(ascii: "."), 1), (UInt8(ascii: "/"), 1): return .itself
        case (UInt8(ascii: "."), 2) where bytes[1] == UInt8(ascii: "."): return .parent
        default: return nil
        }
    }
}

extension VolumeSettings {
    /// 31 bits of the volume's random name, not 0.
    var handleGeneration: UInt64 {
        let digits = uuid.prefix(8)
        return (UInt64(digits, radix: 16) ?? 0) & 0x7FFF_FFFF | 1
    }
}
