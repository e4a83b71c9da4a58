import KeyValue
import TestSupport
import Testing

/// A store under test.
enum StoreKind: String, CaseIterable, CustomTestStringConvertible {
    case memory

    var testDescription: String { rawValue }

    func make() throws -> any KeyValueStore { MemoryStore() }
}

func bytes(_ text: String) -> Bytes { Bytes(text.utf8) }

extension Pair {
    init(_ field: String, _ value: String) { self.init(bytes(field), bytes(value)) }
}
