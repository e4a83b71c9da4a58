import CFuse
import FileSystem
import Primitives

// The kernel's structs from ours (linux/fuse.h, protocol 7.38). Encoded here and not by libfuse, because
// its fuse_file_info of 3.14 lacks open flags that the kernel knows.

extension fuse_attr {
    init(_ attributes: Attributes) {
        self.init()
        ino = attributes.inode.rawValue
        size = attributes.size
        blocks = attributes.storedSectors
        atime = UInt64(bitPattern: attributes.accessTime.seconds)
        mtime = UInt64(bitPattern: attributes.modificationTime.seconds)
        ctime = UInt64(bitPattern: attributes.changeTime.seconds)
        atimensec = UInt32(attributes.accessTime.subsecondNanoseconds)
        mtimensec = UInt32(attributes.modificationTime.subsecondNanoseconds)
        ctimensec = UInt32(attributes.changeTime.subsecondNanoseconds)
        mode = attributes.mode
        nlink = attributes.linkCount
        uid = attributes.userID
        gid = attributes.groupID
        rdev = attributes.device
        blksize = attributes.preferredIOBytes
    }
}

/// A time limit as the protocol writes it.
struct Validity: Equatable {
    let seconds: UInt64
    let nanoseconds: UInt32

    /// More than a century is for ever, and keeps the kernel's arithmetic on jiffies away from its ends.
    private static let longestSeconds = 4_000_000_000.0

    /// Negative numbers and NaN are no time at all.
    init(_ timeout: Double) {
        guard timeout > 0 else {
            seconds = 0
            nanoseconds = 0
            return
        }
        let bounded = min(timeout, Self.longestSeconds)
        seconds = UInt64(bounded)
        nanoseconds = UInt32(min((bounded - Double(seconds)) * 1e9, 999_999_999))
    }
}

extension fuse_attr_out {
    init(_ answer: AttributesAnswer) {
        self.init()
        let validity = Validity(answer.timeoutSeconds)
        attr_valid = validity.seconds
        attr_valid_nsec = validity.nanoseconds
        attr = fuse_attr(answer.attributes)
    }
}

extension fuse_entry_out {
    init(_ answer: EntryAnswer) {
        self.init()
        nodeid = answer.attributes.inode.rawValue
        generation = answer.generation
        let entry = Validity(answer.entryTimeoutSeconds)
        entry_valid = entry.seconds
        entry_valid_nsec = entry.nanoseconds
        let attributes = Validity(answer.attributesTimeoutSeconds)
        attr_valid = attributes.seconds
        attr_valid_nsec = attributes.nanoseconds
        attr = fuse_attr(answer.attributes)
    }

    /// "No such name", to be believed for a while: inode 0.
    init(absentForSeconds timeout: Double) {
        self.init()
        let validity = Validity(timeout)
        entry_valid = validity.seconds
        entry_valid_nsec = validity.nanoseconds
    }
}

extension fuse_open_out {
    init(_ answer: OpenAnswer) {
        self.init()
        fh = answer.handle.rawValue
        var flags: UInt32 = 0
        if answer.direct { flags |= 1 << 0 }  // FOPEN_DIRECT_IO
        if answer.keepsCache { flags |= 1 << 1 }  // FOPEN_KEEP_CACHE
        if answer.cachesDirectory { flags |= 1 << 3 }  // FOPEN_CACHE_DIR
        if answer.skipsFlush { flags |= 1 << 5 }  // FOPEN_NOFLUSH
        if answer.parallelDirectWrites { flags |= 1 << 6 }  // FOPEN_PARALLEL_DIRECT_WRITES (7.39)
        open_flags = flags
    }
}

/// The answer to CREATE: an entry and an open file, one behind the other.
struct CreateAnswer: BitwiseCopyable {
    let entry: fuse_entry_out
    let opened: fuse_open_out
}

extension fuse_statfs_out {
    /// The request size that suits best, which is what `f_bsize` means to programs; counts are in units of
    /// `f_frsize`.
    private static let preferredIOBytes: UInt32 = 1 << 20

    init(_ statistics: VolumeStatistics) {
        self.init()
        st.blocks = statistics.totalBlocks
        st.bfree = statistics.freeBlocks
        st.bavail = statistics.availableBlocks
        st.files = statistics.totalInodes
        st.ffree = statistics.freeInodes
        st.bsize = Self.preferredIOBytes
        st.frsize = UInt32(clamping: statistics.fragmentBytes)
        st.namelen = UInt32(clamping: statistics.maximumNameBytes)
    }
}
