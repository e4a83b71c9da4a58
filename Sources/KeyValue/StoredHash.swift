/// A hash of a `MemoryStore`: fields in the order in which they came, each with an ascending serial
/// number, so that a walk by pages has a cursor that later changes do not upset.
final class StoredHash {
    private struct Slot {
        let serial: UInt64
        let field: Bytes
        /// `nil` once the field has been deleted.
        var value: Bytes?
    }

    /// Below this many slots a list with gaps is not worth closing.
    private static let smallestCompacted = 32

    private var slots: [Slot] = []
    private var places: [Bytes: Int] = [:]
    private var nextSerial: UInt64 = 1

    var count: Int { places.count }
    private(set) var byteCount = 0

    /// What a field costs beside its bytes; about what Redis takes for one.
    private static let fieldOverheadBytes = 24

    subscript(field: Bytes) -> Bytes? {
        get { places[field].flatMap { slots[$0].value } }
        set {
            switch (places[field], newValue) {
            case (let place?, let value?):
                byteCount += value.count - (slots[place].value?.count ?? 0)
                slots[place].value = value
            case (let place?, nil):
                byteCount -= field.count + (slots[place].value?.count ?? 0)
                byteCount -= Self.fieldOverheadBytes
                slots[place].value = nil
                places[field] = nil
                compactIfSparse()
            case (nil, let value?):
                byteCount += field.count + value.count + Self.fieldOverheadBytes
                places[field] = slots.count
                slots.append(Slot(serial: nextSerial, field: field, value: value))
                nextSerial += 1
            case (nil, nil): break
            }
        }
    }

    var pairs: [Pair] {
        var result: [Pair] = []
        result.reserveCapacity(count)
        for slot in slots {
            if let value = slot.value { result.append(Pair(slot.field, value)) }
        }
        return result
    }

    /// Up to `limit` fields from the one with the serial number `cursor` on; `next` is 0 at the end.
    func page(from cursor: UInt64, limit: Int) -> (next: UInt64, pairs: [Pair]) {
        var low = 0
        var high = slots.count
        while low < high {
            let middle = (low + high) / 2
            if slots[middle].serial < cursor { low = middle + 1 } else { high = middle }
        }
        var result: [Pair] = []
        for slot in slots[low...] {
            guard let value = slot.value else { continue }
            if result.count >= max(1, limit) { return (slot.serial, result) }
            result.append(Pair(slot.field, value))
        }
        return (0, result)
    }

    private func compactIfSparse() {
        guard slots.count >= Self.smallestCompacted, places.count < slots.count / 2 else { return }
        slots.removeAll { $0.value == nil }
        for (place, slot) in slots.enumerated() { places[slot.field] = place }
    }
}
