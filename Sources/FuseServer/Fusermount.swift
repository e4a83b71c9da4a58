import Glibc

/// fusermount3(1), which mounts and unmounts for users other than root.
enum Fusermount {
    /// Daemons often have no PATH; these are where distributions put it.
    private static let places = [
        "/usr/bin/fusermount3", "/bin/fusermount3", "/usr/local/bin/fusermount3",
    ]

    static var path: String? { places.first { access($0, X_OK) == 0 } }

    /// Whether it ended with success.
    static func run(_ arguments: [String]) -> Bool {
        guard let path else { return false }
        let words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
        defer { words.forEach { free($0) } }
        // It needs no environment.
        let environment: [UnsafeMutablePointer<CChar>?] = [nil]
        var child = pid_t()
        guard posix_spawn(&child, path, nil, nil, words, environment) == 0 else { return false }
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0 {
            guard errno == EINTR else { return false }
        }
        return status == 0
    }
}
