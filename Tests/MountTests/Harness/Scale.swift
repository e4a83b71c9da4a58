import Foundation

/// How much the larger tests do. What the project is judged by is `APUSFS_TEST_SCALE=full`; by default it is
/// as much of it as fits a test run of some minutes. Each number can be set by itself.
enum Scale {
    /// Files in the tree that git, tar and diff see.
    static let treeFiles = number("APUSFS_TEST_TREE_FILES", standard: 2_000, full: 5_000)
    /// Rows that sqlite inserts in each journal mode.
    static let databaseRows = number("APUSFS_TEST_DATABASE_ROWS", standard: 10_000, full: 10_000)
    /// MiB of the file that is larger than the cache.
    static let largeFileMiB = number("APUSFS_TEST_LARGE_FILE_MIB", standard: 256, full: 2_048)
    /// Entries of the large directory.
    static let directoryEntries = number("APUSFS_TEST_ENTRIES", standard: 20_000, full: 100_000)
    /// Keys of the large dataset of the keyspace view.
    static let keys = number("APUSFS_TEST_KEYS", standard: 20_000, full: 1_000_000)
    /// MiB that each fio job writes and verifies.
    static let fioMiB = number("APUSFS_TEST_FIO_MIB", standard: 24, full: 256)
    /// Random operations for each codec and block size.
    static let randomOperations = number("APUSFS_TEST_OPERATIONS", standard: 600, full: 20_000)
    /// Rounds of writing on one mount and reading on another.
    static let sharingRounds = number("APUSFS_TEST_SHARING_ROUNDS", standard: 300, full: 10_000)
    /// Random operations of each thread on each of several mounts.
    static let sharingOperations = number(
        "APUSFS_TEST_SHARING_OPERATIONS", standard: 60, full: 3_000)
    /// Mounts of one volume in random tests.
    static let sharingMounts = number("APUSFS_TEST_SHARING_MOUNTS", standard: 3, full: 8)
    /// How often each fault happens to a mount under work.
    static let faultRounds = number("APUSFS_TEST_FAULT_ROUNDS", standard: 2, full: 25)
    /// How long a server is stopped under a mount that waits for it.
    static let faultPauseMilliseconds = UInt64(
        number("APUSFS_TEST_FAULT_PAUSE_MS", standard: 1_500, full: 10_000))
    /// Operations of the long run: a day of ten in each second.
    static let soakOperations = number(
        "APUSFS_TEST_SOAK_OPERATIONS", standard: 8_000, full: 864_000)
    /// Those faults, by `$APUSFS_TEST_FAULTS` (names with commas between them); by default all.
    static let faults: [Fault] = {
        guard let text = environment["APUSFS_TEST_FAULTS"] else { return Fault.allCases }
        return text.split(separator: ",").map { name in
            guard let fault = Fault(rawValue: String(name)) else {
                preconditionFailure("APUSFS_TEST_FAULTS: there is no fault '\(name)'")
            }
            return fault
        }
    }()
    /// The seed of random tests; by default another one each time. It is printed.
    static let seed = UInt64(
        environment["APUSFS_TEST_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 1...UInt64.max))

    private static let environment = ProcessInfo.processInfo.environment

    private static func number(_ name: String, standard: Int, full: Int) -> Int {
        if let text = environment[name] {
            guard let number = Int(text), number > 0 else {
                preconditionFailure("\(name)=\(text) is not a number above 0")
            }
            return number
        }
        return environment["APUSFS_TEST_SCALE"] == "full" ? full : standard
    }
}
