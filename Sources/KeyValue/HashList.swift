/// Several hashes, read in one trip: all their fields and values one behind the other in one piece of
/// memory, so that a thousand of them cost a few allocations rather than some ten thousand.
public struct HashList: Hashable, Sendable {
    private var bytes: Bytes = []
    /// Where each word (field, value, field, …) ends in `bytes`.
    private var wordEnds: [Int] = []
    /// How many words there are up to the end of each hash.
    private var hashEnds: [Int] = []

    public init() {}

    /// A list of one hash.
    public init(_ pairs: [Pair]) { append(pairs) }

    /// How many hashes there are; one that is absent counts, and is empty.
    public var count: Int { hashEnds.count }

    public func isEmpty(at index: Int) -> Bool { words(of: index).isEmpty }

    /// Calls `body` with each field and its value, which are lent for the length of the call.
    public func forEachPair<Failure: Error>(
        at index: Int,
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        var failure: Failure?
        bytes.withUnsafeBytes { bytes in
            for word in stride(from: words(of: index).lowerBound, to: hashEnds[index], by: 2) {
                // SAFETY: ends of words ascend and lie within `bytes`, which is lent for this closure.
                let field = UnsafeRawBufferPointer(rebasing: bytes[range(of: word)])
                let value = UnsafeRawBufferPointer(rebasing: bytes[range(of: word + 1)])
                do throws(Failure) {
                    try body(field, value)
                } catch {
                    failure = error
                    return
                }
            }
        }
        if let failure { throw failure }
    }

    /// The fields of one hash with their values.
    public func pairs(at index: Int) -> [Pair] {
        var pairs: [Pair] = []
        forEachPair(at: index) { pairs.append(Pair(Bytes($0), Bytes($1))) }
        return pairs
    }

    private func words(of index: Int) -> Range<Int> {
        (index == 0 ? 0 : hashEnds[index - 1])..<hashEnds[index]
    }

    private func range(of word: Int) -> Range<Int> {
        (word == 0 ? 0 : wordEnds[word - 1])..<wordEnds[word]
    }

    // MARK: Building

    /// Adds to the word that is being built.
    package mutating func append(_ part: UnsafeRawBufferPointer) { bytes.append(contentsOf: part) }

    package mutating func endWord() { wordEnds.append(bytes.count) }

    /// The words since the end of the last hash are one hash: as many fields as values.
    package mutating func endHash() {
        let count = wordEnds.count - (hashEnds.last ?? 0)
        precondition(count.isMultiple(of: 2), "each field has a value")
        hashEnds.append(wordEnds.count)
    }

    package mutating func append(_ pairs: [Pair]) {
        for pair in pairs {
            bytes.append(contentsOf: pair.field)
            endWord()
            bytes.append(contentsOf: pair.value)
            endWord()
        }
        endHash()
    }

    package mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        wordEnds.removeAll(keepingCapacity: true)
        hashEnds.removeAll(keepingCapacity: true)
    }
}
