import CFuse

/// The libfuse that this process runs with, which may be newer than the one it was built with.
public enum LibfuseVersion {
    /// `3.14.0`
    public static var text: String { String(cString: fuse_pkgversion()) }
}
