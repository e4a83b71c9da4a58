/// A mount namespace of its own for a shell script.
enum MountNamespace {
    /// The namespace begins with a copy of all mounts, and a daemon serves until the last copy is gone: those
    /// of tests that run beside this one are let go at once.
    private static let prelude = """
        kept=$1; shift
        while read -r _ place kind _; do
            case "$kind" in
                fuse*) [ "$place" = "$kept" ] || umount --lazy "$place" ;;
            esac
        done < /proc/self/mounts

        """

    /// What runs `script` there, with `arguments` as $1 and so on. `keeping`: where something is mounted that
    /// is to stay.
    static func words(_ script: String, _ arguments: [String], keeping: String = "") -> [String] {
        ["unshare", "--mount", "sh", "-c", prelude + script, "sh", keeping] + arguments
    }
}
