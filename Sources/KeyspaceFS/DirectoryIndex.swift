import FileSystem
import KeyValue
import Logging
import Primitives

/// Which directories there are: Redis can tell whether a key is there, but not whether any key begins in some
/// way, other than by going through all of them. So that is done once, page by page, and what was seen is kept
/// as one number for each directory; keys that are made later add theirs.
///
/// A directory whose last key is gone is known for some time longer: whoever lists it and finds nothing
/// says so.
/// Directories that were made here are there until somebody removes them.
final class DirectoryIndex: Sendable {
    private struct State {
        var numbers: FingerprintSet
        /// Fills while the keys are gone through.
        var next: FingerprintSet?
        var isComplete = false
        /// Changes were missed since the keys were gone through.
        var isDoubtful = false
        var completed = Deadline(monotonicNanoseconds: 0)
        var made: Set<Place> = []
        /// Not there, but their names belong to no key.
        var keptFree: Set<DirectoryPlace> = []
        var builds = 0
        var failure: Errno?
    }

    private let naming: KeyspaceNaming
    private let store: KeyStore
    private let limit: Int
    private let refreshMilliseconds: Int
    private let logger: Logger
    /// Rank: a leaf, but for threads that wait for the end of a build.
    private let state: Monitor<State>

    init(naming: KeyspaceNaming, store: KeyStore, options: KeyspaceOptions, logger: Logger) {
        self.naming = naming
        self.store = store
        self.logger = logger
        limit = options.indexLimit
        refreshMilliseconds = options.refreshMilliseconds
        state = Monitor(State(numbers: FingerprintSet(limit: options.indexLimit)))
    }

    /// Whether changes are announced: then what is known stays true by itself.
    private let live = Locked(false)

    func setLive(_ isLive: Bool) {
        live.withLock { $0 = isLive }
        state.withLock { $0.isDoubtful = true }
    }

    // MARK: Directories that were made here

    func isMade(_ place: Place) -> Bool { state.withLock { $0.made.contains(place) } }

    func make(_ place: Place) { state.withLock { _ = $0.made.insert(place) } }

    func unmake(_ place: Place) { state.withLock { _ = $0.made.remove(place) } }

    /// The plain name of a directory is not that of the key beside it, from now on.
    func keepFree(_ directory: DirectoryPlace) {
        state.withLock { _ = $0.keptFree.insert(directory) }
    }

    func isKeptFree(_ directory: DirectoryPlace) -> Bool {
        state.withLock { $0.keptFree.contains(directory) }
    }

    func allMade() -> [Place] { Array(state.withLock { $0.made }) }

    /// Those made in a directory.
    func made(in parent: Place) -> [Place] {
        state.withLock { $0.made }.filter { naming.parent(of: $0) == parent }
    }

    // MARK: Directories of keys

    /// A key is there.
    func note(_ key: Bytes) {
        state.withLock { state in
            naming.forEachDirectory(of: key) { number in
                _ = state.numbers.insert(number)
                _ = state.next?.insert(number)
            }
        }
    }

    /// Nothing begins so any more.
    func forget(_ prefix: Bytes) {
        let number = Fingerprint.of(prefix)
        state.withLock { $0.numbers.remove(number) }
    }

    /// What is known is not to be believed: the next question goes through all keys again.
    func doubt() { state.withLock { $0.isDoubtful = true } }

    /// Whether keys begin with `prefix`, as far as is known without asking.
    func knows(_ prefix: Bytes) -> Bool {
        let number = Fingerprint.of(prefix)
        return state.withLock { $0.numbers.contains(number) }
    }

    /// Whether keys begin with `prefix`. Goes through all keys when that is not known.
    func contains(_ prefix: Bytes) throws(Errno) -> Bool {
        if knows(prefix) { return true }
        try refresh()
        if knows(prefix) { return true }
        guard state.withLock({ $0.numbers.isOverfull }) else { return false }
        return try firstKey(beginningWith: prefix) != nil
    }

    /// Returns when what is known is complete and recent.
    func refresh() throws(Errno) {
        while true {
            switch begin() {
            case .nothing: return
            case .build: return try build()
            case .wait(let builds):
                let ended: Result<Void, Errno>? = state.wait { state in
                    if state.builds == builds { return nil }
                    return state.failure.map { .failure($0) } ?? .success(())
                }
                if case .failure(let error)? = ended { throw error }
            }
        }
    }

    private enum Work {
        case nothing
        case build
        case wait(builds: Int)
    }

    private func begin() -> Work {
        let isLive = live.withLock { $0 }
        return state.withLock { state in
            if state.next != nil { return .wait(builds: state.builds) }
            let isRecent =
                isLive || !state.completed.advanced(byMilliseconds: refreshMilliseconds).hasPassed
            if state.isComplete, !state.isDoubtful, isRecent { return .nothing }
            state.isDoubtful = false
            state.next = FingerprintSet(limit: limit)
            return .build
        }
    }

    private func build() throws(Errno) {
        let failure: Errno?
        do throws(Errno) {
            try forEachKey(beginningWith: naming.rootPrefix) { keys in
                state.withLock { state in
                    for key in keys {
                        naming.forEachDirectory(of: key) { _ = state.next?.insert($0) }
                    }
                }
                return true
            }
            failure = nil
        } catch {
            failure = error
        }
        let isOverfull = state.change { state in
            state.builds += 1
            state.failure = failure
            defer { state.next = nil }
            guard let next = state.next, failure == nil else {
                state.isDoubtful = true
                return false
            }
            state.numbers = next
            state.isComplete = true
            state.completed = .now
            return next.isOverfull
        }
        if let failure { throw failure }
        if isOverfull {
            logger.warning(
                "more directories than are kept in memory: names that are not there take longer",
                metadata: ["limit": "\(limit)"])
        }
    }

    /// The pattern that SCAN is given for all keys that begin so.
    func pattern(for prefix: Bytes) -> Bytes? {
        if prefix.isEmpty { return naming.pattern }
        return RedisPattern.beginning(with: prefix)
    }

    /// Goes through all keys of the view that begin with `prefix`, page by page, until `body` says no. A key
    /// may come more than once.
    func forEachKey(
        beginningWith prefix: Bytes, _ body: ([Bytes]) throws(Errno) -> Bool
    ) throws(Errno) {
        let pattern = pattern(for: prefix)
        var cursor: UInt64 = 0
        repeat {
            let page = try store.scan(cursor, matching: pattern)
            cursor = page.next
            let shown = page.items.filter { $0.starts(with: prefix) && naming.shows($0) }
            if !shown.isEmpty, try !body(shown) { return }
        } while cursor != 0
    }

    /// Any key that begins so.
    func firstKey(beginningWith prefix: Bytes) throws(Errno) -> Bytes? {
        var found: Bytes?
        try forEachKey(beginningWith: prefix) { keys in
            found = keys.first
            return false
        }
        return found
    }
}
