import CLinux
import Foundation
import Primitives
import TestSupport

/// A user other than root, for the length of a call.
struct Person: Sendable {
    let user: uid_t
    let group: gid_t
    let groups: [gid_t]

    init(_ user: uid_t, group: gid_t, groups: [gid_t] = []) {
        self.user = user
        self.group = group
        self.groups = groups
    }

    static let alice = Person(60_001, group: 60_001)
    static let bob = Person(60_002, group: 60_002)

    /// Runs `body` in a thread that acts as this user, with this mask: on Linux both belong to a thread.
    /// Nothing that `body` is given must be used elsewhere meanwhile, which a caller that waits here cannot.
    @discardableResult
    func run<Result>(
        mask: mode_t = 0o022, _ body: @escaping () throws -> Result
    ) throws -> Result {
        let work = Work(user: self, mask: mask, body: body)
        TestThread(name: "person") { work.run() }.join()
        return try work.result()
    }

    /// Runs `body` with another mask for new files, as the user of the process.
    @discardableResult
    static func withMask<Result>(
        _ mask: mode_t, _ body: @escaping () throws -> Result
    ) throws -> Result {
        try Person(getuid(), group: getgid()).run(mask: mask, body)
    }

    private final class Work<Result>: @unchecked Sendable {
        // SAFETY: `body` runs once, in the thread, while the owner waits; `outcome` is behind a lock.
        private let user: Person
        private let mask: mode_t
        private let body: () throws -> Result
        private let outcome = Locked<Swift.Result<Result, any Error>?>(nil)

        init(user: Person, mask: mode_t, body: @escaping () throws -> Result) {
            self.user = user
            self.mask = mask
            self.body = body
        }

        func run() {
            let result = Swift.Result {
                try SystemCall.checkError(apusfs_assume_umask(mask))
                try SystemCall.checkError(
                    apusfs_assume_identity(user.user, user.group, user.groups, user.groups.count))
                return try body()
            }
            outcome.withLock { $0 = result }
        }

        func result() throws -> Result {
            guard let outcome = outcome.withLock({ $0 }) else {
                preconditionFailure("the thread was joined and has left no outcome")
            }
            return try outcome.get()
        }
    }
}
