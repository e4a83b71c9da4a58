import FileSystem
import Primitives
import VolumeStore

extension VolumeFileSystem {
    /// `nil` removes the file's or directory's own codec. EPERM for what is neither, as for all of `user.`;
    /// EINVAL for what is no codec.
    func setCodec(
        of state: InodeState, to value: UnsafeRawBufferPointer?, mode: SetXattrMode
    ) throws(Errno) {
        guard [.regular, .directory].contains(state.record.kind) else { throw .notPermitted }
        let codec = try value.map { bytes throws(Errno) in try CodecAttribute.parse(bytes) }
        let time = Timestamp.now
        try store.setCodec(state.id, codec, mode: mode, time: time)
        generations.bump(state.id)
        state.withCommitted { facts in
            facts.record.codec = codec
            facts.record.changeTime = max(facts.record.changeTime, time)
        }
    }

    /// What is made in a directory is compressed as the directory says.
    func inheritCodec(into new: inout NewInode, from parent: InodeRecord) {
        guard new.kind == .regular || new.kind == .directory else { return }
        new.codec = parent.codec
    }
}
