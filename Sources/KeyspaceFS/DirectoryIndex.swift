import FileSystem
import KeyValue
import Logging
import Primitives

/// Which directories there are: Redis can tell whether a key is there, but not whether any key begins in some
/// way, other than by going through all of them. So that is done once, page by page, and what was seen is kept
/// as one number for each directory; keys that are made later add theirs.
///
/// While changes are announced the keys themselves are kept too, as far as they find room (`KnownKeys`): then
/// a directory is listed, and found to be empty, without going through all keys again.
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
    private let keyBytes: Int
    private let keys = KnownKeys()
    private let refreshMilliseconds: Int
    private let logger: Logger
    /// Rank: a leaf, but for threads that wait for the end of a build.
    private let state: Monitor<State>

    init(naming: KeyspaceNaming, store: KeyStore, options: KeyspaceOptions, logger: Logger) {
        self.naming = naming
        self.store = store
        self.logger = logger
        limit = options.indexLimit
        keyBytes = options.keyBytes
        refreshMilliseconds = options.refreshMilliseconds
        state = Monitor(State(numbers: FingerprintSet(limit: options.indexLimit)))
    }

    /// Whether changes are announced: then what is known stays true by itself.
    private let live = Locked(false)

    func setLive(_ isLive: Bool) {
        live.withLock { $0 = isLive }
        doubt()
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

    /// A key is there, or was, or will be: something happens to it.
    func note(_ key: Bytes) {
        keys.note(key)
        noteDirectory(key)
    }

    /// A directory, or key, is there: so are the directories above it.
    func noteDirectory(_ prefix: Bytes) {
        state.withLock { state in
            naming.forEachDirectory(of: prefix) { number, _ in
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
    func doubt() {
        keys.forgetAll()
        state.withLock { $0.isDoubtful = true }
    }

    /// Whether keys begin with `prefix`, as far as is known without asking.
    func knows(_ prefix: Bytes) -> Bool {
        let number = Fingerprint.of(prefix)
        return state.withLock { $0.numbers.contains(number) }
    }

    /// The same, confirmed where that takes no more than what was changed since.
    func stillKnows(_ prefix: Bytes) throws(Errno) -> Bool {
        guard knows(prefix) else { return false }
        return try confirm(prefix)
    }

    /// Whether keys begin with `prefix`. Goes through all keys when that is not known.
    func contains(_ prefix: Bytes) throws(Errno) -> Bool {
        if knows(prefix) { return try confirm(prefix) }
        try refresh()
        if knows(prefix) { return try confirm(prefix) }
        guard state.withLock({ $0.numbers.isOverfull }) else { return false }
        return try firstKey(beginningWith: prefix) != nil
    }

    /// Whether keys that are known to have begun with `prefix` still do; true when that takes all keys to say.
    private func confirm(_ prefix: Bytes) throws(Errno) -> Bool {
        guard live.withLock({ $0 }), let known = keys.snapshot else { return true }
        if try firstKey(of: known, beginningWith: prefix) != nil { return true }
        forget(prefix)
        return false
    }

    private func firstKey(
        of known: KnownKeys.Snapshot, beginningWith prefix: Bytes
    ) throws(Errno) -> Bytes? {
        if let found = known.tree.firstKey(below: prefix, without: known.changed) { return found }
        return try store.existing(known.changed(below: prefix)).first
    }

    /// What is known of all keys; `nil` when they have to be gone through for each question. Goes through
    /// them once when that helps.
    func knownKeys() throws(Errno) -> KnownKeys.Snapshot? {
        try refresh(forKeys: true)
        return live.withLock { $0 } ? keys.snapshot : nil
    }

    /// Returns when what is known is complete and recent.
    func refresh(forKeys wantsKeys: Bool = false) throws(Errno) {
        while true {
            switch begin(forKeys: wantsKeys) {
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

    private func begin(forKeys wantsKeys: Bool) -> Work {
        let isLive = live.withLock { $0 }
        let isWornOut = wantsKeys && keys.isWornOut
        return state.withLock { state in
            if state.next != nil { return .wait(builds: state.builds) }
            let isOld = state.completed.advanced(byMilliseconds: refreshMilliseconds).hasPassed
            // Where keys change all the time they are not gone through for that alone each time.
            let isRecent = isLive && !isWornOut || !isOld
            if state.isComplete, !state.isDoubtful, isRecent { return .nothing }
            state.isDoubtful = false
            state.next = FingerprintSet(limit: limit)
            return .build
        }
    }

    private func build() throws(Errno) {
        keys.begin()
        var tree = live.withLock { $0 } ? KeyTree(naming: naming, limitBytes: keyBytes) : nil
        let failure: Errno?
        do throws(Errno) {
            try forEachKey(beginningWith: naming.rootPrefix) { keys in
                state.withLock { state in
                    for key in keys {
                        naming.forEachDirectory(of: key) { number, _ in
                            _ = state.next?.insert(number)
                        }
                    }
                }
                for key in keys { tree?.add(key) }
                return true
            }
            failure = nil
        } catch {
            failure = error
            tree = nil
        }
        keys.end(tree)
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

    /// Any key that begins so. Goes through all keys when they are not known.
    func firstKey(beginningWith prefix: Bytes) throws(Errno) -> Bytes? {
        if let known = try knownKeys() { return try firstKey(of: known, beginningWith: prefix) }
        var found: Bytes?
        try forEachKey(beginningWith: prefix) { keys in
            found = keys.first
            return false
        }
        return found
    }
}
