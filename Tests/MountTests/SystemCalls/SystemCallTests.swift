import Testing

extension MountTests {
    /// What each system call does on a mount. One file a call; all on one mount, each test in a directory of
    /// its own.
    @Suite(.mounted("--allow-other"))
    struct SystemCallTests {}
}
