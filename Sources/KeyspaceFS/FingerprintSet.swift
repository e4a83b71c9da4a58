/// A set of well-mixed numbers other than 0, in 8 bytes each and the room of a table that is at most seven
/// tenths full. It takes no more than `limit` numbers.
struct FingerprintSet: Sendable {
    private var slots: [UInt64]
    private(set) var count = 0
    let limit: Int
    /// Whether a number was refused because the set was full.
    private(set) var isOverfull = false

    init(limit: Int) {
        self.limit = limit
        slots = Array(repeating: 0, count: 64)
    }

    func contains(_ number: UInt64) -> Bool {
        var index = Int(truncatingIfNeeded: number) & (slots.count - 1)
        while slots[index] != 0 {
            if slots[index] == number { return true }
            index = (index + 1) & (slots.count - 1)
        }
        return false
    }

    /// Whether the number is new; one that finds no room is new each time.
    mutating func insert(_ number: UInt64) -> Bool {
        if contains(number) { return false }
        guard count < limit else {
            isOverfull = true
            return true
        }
        if (count + 1) * 10 > slots.count * 7 { grow() }
        place(number)
        count += 1
        return true
    }

    mutating func remove(_ number: UInt64) {
        guard contains(number) else { return }
        let mask = slots.count - 1
        var hole = Int(truncatingIfNeeded: number) & mask
        while slots[hole] != number { hole = (hole + 1) & mask }
        slots[hole] = 0
        count -= 1
        // What stands behind the hole and would not be found any more moves up.
        var index = (hole + 1) & mask
        while slots[index] != 0 {
            let moved = slots[index]
            slots[index] = 0
            place(moved)
            index = (index + 1) & mask
        }
    }

    private mutating func place(_ number: UInt64) {
        var index = Int(truncatingIfNeeded: number) & (slots.count - 1)
        while slots[index] != 0 { index = (index + 1) & (slots.count - 1) }
        slots[index] = number
    }

    private mutating func grow() {
        let old = slots
        slots = Array(repeating: 0, count: old.count * 2)
        for number in old where number != 0 { place(number) }
    }
}
