import Testing

/// One mount for all tests of a suite, which find it as `Mount.current`.
struct MountedTrait: SuiteTrait, TestScoping {
    let flags: [String]

    func provideScope(
        for test: Test, testCase: Test.Case?,
        performing function: @Sendable () async throws -> Void
    ) async throws {
        let mount = try Mount(
            store: Store.standardKind, layout: Store.standardLayout, flags: flags,
            limitSeconds: 300)
        defer { mount.cleanUp() }
        try await Mount.$shared.withValue(mount) { try await function() }
        try mount.unmount()
    }
}

extension Trait where Self == MountedTrait {
    /// The suite runs on a mount with these flags.
    static func mounted(_ flags: String...) -> Self { MountedTrait(flags: flags) }
}

extension Mount {
    @TaskLocal static var shared: Mount?

    /// The mount of the suite that the running test belongs to.
    static var current: Mount {
        guard let shared else { preconditionFailure("the suite has no trait `.mounted`") }
        return shared
    }

    /// An empty directory on the mount, for one test.
    func makePlace() throws -> Place {
        try reviveIfDead()
        let path = "\(path)/place-\(UInt64.random(in: 0...UInt64.max))"
        try SystemCall.mkdir(path)
        // A mask of the process must not decide what other users may do here.
        try SystemCall.chmod(path, 0o755)
        return Place(path: path)
    }
}

/// A directory on the mount.
struct Place {
    let path: String

    /// A path in it.
    subscript(name: String) -> String { "\(path)/\(name)" }
}
