import CLinux
import Primitives

/// `mount -o remount`: gives the kernel other flags for a mount that goes on (mount(8)). The process behind it
/// is not told: its own options stay as it was mounted.
struct Remount: Equatable {
    /// MS_RDONLY and its like (mount(2)), all that the mount has from then on.
    let flags: UInt

    private static let keyword = "remount"

    /// `nil` unless `lists` (each behind one `-o`) ask for it. Options of `apusfs mount` and what the kernel
    /// shows in /proc/mounts are let pass, since mount(8) repeats those of fstab and of the mount; words that
    /// are none of these are refused.
    init?(
        _ lists: [String], _ settings: MountSettings = MountSettings(), isSloppy: Bool = false
    ) throws(CommandFailure) {
        let words = lists.flatMap { MountOptionList.words(of: $0) }
        guard words.contains(Self.keyword) else { return nil }
        var flags: UInt = 0
        var others: [String] = []
        for word in words where word != Self.keyword {
            if word == "defaults" {
                flags = 0
            } else if let (flag, isSet) = Self.meanings[word] {
                flags = isSet ? flags | flag : flags & ~flag
            } else if !Self.shownByKernel.contains(String(word.prefix { $0 != "=" })) {
                others.append(word)
            }
        }
        var unused = settings
        try MountOptionList.apply(
            others.joined(separator: ","), to: &unused, isSloppy: isSloppy)
        self.flags = flags
    }

    /// `places` as mount(8) gives them: the source, which says nothing here, and the directory.
    func carryOut(at places: [String], isFake: Bool) throws(CommandFailure) {
        guard let place = places.last, places.count <= 2 else {
            throw CommandFailure("remount: needs a directory", status: .usage)
        }
        do throws(CommandFailure) {
            let path = try MountPoint.canonical(place)
            guard let entry = try MountTable.entry(at: path), entry.isOurs else {
                throw CommandFailure("\(path): nothing of apusfs is mounted there")
            }
            let record = try MountRecord.find(mountPoint: path, userID: entry.userID)
            if flags & UInt(APUSFS_MS_RDONLY) == 0, record?.isReadOnly == true {
                throw CommandFailure(
                    "\(path): was mounted read-only and cannot be made writable; unmount it and "
                        + "mount it again")
            }
            if isFake { return }
            let failure = apusfs_remount(path, flags)
            guard failure == 0 else {
                throw CommandFailure(path, "cannot be remounted", errno: failure)
            }
        } catch {
            throw error.with(.mountFailure)
        }
    }

    private static let meanings: [String: (flag: UInt, isSet: Bool)] = {
        let pairs: [(Int, String, String?)] = [
            (Int(APUSFS_MS_RDONLY), "ro", "rw"), (Int(APUSFS_MS_NOSUID), "nosuid", "suid"),
            (Int(APUSFS_MS_NODEV), "nodev", "dev"), (Int(APUSFS_MS_NOEXEC), "noexec", "exec"),
            (Int(APUSFS_MS_SYNCHRONOUS), "sync", "async"), (Int(APUSFS_MS_DIRSYNC), "dirsync", nil),
            (Int(APUSFS_MS_NOATIME), "noatime", "atime"),
            (Int(APUSFS_MS_NODIRATIME), "nodiratime", "diratime"),
            (Int(APUSFS_MS_RELATIME), "relatime", "norelatime"),
            (Int(APUSFS_MS_STRICTATIME), "strictatime", "nostrictatime"),
        ]
        var meanings: [String: (flag: UInt, isSet: Bool)] = [:]
        for (flag, set, cleared) in pairs {
            meanings[set] = (UInt(flag), true)
            if let cleared { meanings[cleared] = (UInt(flag), false) }
        }
        return meanings
    }()

    /// fuse_show_options of the kernel.
    private static let shownByKernel: Set<String> = [
        "user_id", "group_id", "rootmode", "default_permissions", "allow_other", "max_read",
        "blksize",
    ]
}
