/// One read of metadata. A list of them is one round trip.
public enum Read: Hashable, Sendable {
    /// The value of a string key. Answer: `.value`.
    case value(key: Bytes)
    /// Some fields of a hash, in the order given. Answer: `.values`.
    case fields(key: Bytes, [Bytes])
    /// All fields of a hash. Answer: `.pairs`.
    case allFields(key: Bytes)
    /// All fields of each of some hashes. Answer: `.hashes`.
    case hashes(keys: [Bytes])
    /// How many fields a hash has; 0 for an absent key. Answer: `.count`.
    case fieldCount(key: Bytes)
    /// Part of a hash: at least one field unless there are no more, and about `limit`. `cursor` is 0 at
    /// the start, then what the last page said. A field that is there throughout a walk is delivered at
    /// least once; it can be delivered twice. Answer: `.page`.
    case page(key: Bytes, cursor: UInt64, limit: Int)
    /// The dependent read: the value of `field` in the hash `key`, and all fields of the hash that it
    /// names: `prefix` followed by the decimal digits with which the value begins.
    /// Answer: `.followed`.
    case follow(key: Bytes, field: Bytes, prefix: Bytes)
    /// A page, and for each of its values the hash that it names, as in `follow`, unless the page has
    /// more than `atMost` fields. Answer: `.followedPage`.
    case followPage(key: Bytes, cursor: UInt64, limit: Int, prefix: Bytes, atMost: Int = .max)
    /// Members of an ordered set with scores up to `maximum`, lowest first, at most `limit`.
    /// Answer: `.members`.
    case members(key: Bytes, upTo: Int64, limit: Int)
    /// The clock of the store, in milliseconds since 1970. Answer: `.time`.
    case time
    /// Which of the keys exist, in order. Answer: `.existing`.
    case existence(keys: [Bytes])
    /// Part of the keys that begin with `prefix`, of any kind. `cursor` is 0 at the start, then what the
    /// last page said; `limit` is about how many keys of the store are looked at, so a page can be empty
    /// while there is more. A key that is there throughout a walk is delivered at least once; it can be
    /// delivered twice. Only for looking at a store as a whole: a walk costs as much as the store has
    /// keys. Answer: `.keys`.
    case keys(prefix: Bytes, cursor: UInt64, limit: Int)
}

/// A field of a hash with its value.
public struct Pair: Hashable, Sendable {
    public var field: Bytes
    public var value: Bytes

    public init(_ field: Bytes, _ value: Bytes) {
        self.field = field
        self.value = value
    }
}

/// The answer to a `Read`.
public enum ReadAnswer: Hashable, Sendable {
    /// `nil` when the key is absent.
    case value(Bytes?)
    /// `nil` for each field that is absent.
    case values([Bytes?])
    /// Empty when the key is absent.
    case pairs([Pair])
    /// In the order of the keys; empty for a key that is absent.
    case hashes(HashList)
    case count(Int)
    /// `next` is 0 at the end.
    case page(next: UInt64, [Pair])
    /// `value` is `nil` when the field is absent; `target` is empty when the hash that it names is.
    case followed(value: Bytes?, target: [Pair])
    /// For each pair of the page the fields of the hash that it names (empty when that is absent);
    /// `targets` is `nil` when the page is too large to be followed.
    case followedPage(next: UInt64, [Pair], targets: [[Pair]]?)
    case members([Member])
    case time(milliseconds: Int64)
    case existing([Bool])
    /// `next` is 0 at the end.
    case keys(next: UInt64, [Bytes])
}

/// A member of an ordered set with its score. Scores are integers of at most 2^53 in magnitude.
public struct Member: Hashable, Sendable {
    public var name: Bytes
    public var score: Int64

    public init(_ name: Bytes, score: Int64) {
        self.name = name
        self.score = score
    }
}
