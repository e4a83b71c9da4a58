/// Keeps a part of a store's memory for batches: blocks are refused before the store has to refuse
/// anything, so that files can still be made, renamed, cut and removed when no more data fits.
///
/// Decides from what the store said of its memory some time ago (a *look*), and from what was let in since.
/// It knows nothing of what others store meanwhile, so looks are made often when there is little room. A
/// value without clock or lock; all numbers are bytes, of instants nanoseconds of CLOCK_MONOTONIC.
package struct MemoryReserve {
    /// Of a store that may use `limit` bytes: a thirty-second of them, 64 MiB at most; 0 without a limit.
    package static func bytes(ofLimit limit: UInt64) -> UInt64 { min(limit / 32, largestBytes) }

    private static let largestBytes: UInt64 = 64 << 20
    /// A store whose memory was not looked at for this long may have become smaller, or full.
    static let looksEachNanoseconds: Int64 = 100_000_000
    /// With less room than this many reserves every store of blocks is a look.
    static let closeReserves: UInt64 = 4

    /// Names what a look is certain to include.
    package struct Look: Equatable, Sendable {
        fileprivate var settled: UInt64
    }

    package enum Verdict: Equatable {
        case admitted
        /// The same, and the store shall be asked for its memory behind the blocks, in the same trip.
        case admittedWithLook(Look)
        /// By what is known there is no room: the store has to be asked first. Then `judge` decides.
        case unknown(Look)
    }

    private var limit: UInt64 = 0
    private var used: UInt64 = 0
    private var lookedAt: Int64?
    /// Bytes that were ever let in, those of them whose trip is over, and those that `used` includes.
    private var admitted: UInt64 = 0
    private var finished: UInt64 = 0
    private var settled: UInt64 = 0

    package init() {}

    /// Whether so many bytes of blocks may be sent. If they are, `finish` is told when their trip is over.
    package mutating func admit(_ bytes: Int, now: Int64) -> Verdict {
        guard hasRoom(for: bytes) else { return .unknown(Look(settled: finished)) }
        admitted &+= UInt64(bytes)
        let isDue = lookedAt.map { now - $0 >= Self.looksEachNanoseconds } ?? true
        guard isDue || isClose else { return .admitted }
        // One look at a time is enough.
        lookedAt = now
        return .admittedWithLook(Look(settled: finished &+ UInt64(bytes)))
    }

    /// The same right after a look: nobody has to be asked again.
    package mutating func judge(_ bytes: Int) -> Bool {
        guard hasRoom(for: bytes) else { return false }
        admitted &+= UInt64(bytes)
        return true
    }

    package mutating func finish(_ bytes: Int) { finished &+= UInt64(bytes) }

    /// What the store said. `limit`: 0 when it sets none, or may not be asked.
    package mutating func looked(_ look: Look, used: UInt64, limit: UInt64, now: Int64) {
        lookedAt = now
        // Overtaken by a later look.
        guard look.settled >= settled else { return }
        self.used = used
        self.limit = limit
        settled = look.settled
    }

    /// Bytes of blocks that the store has room for, as far as is known; `nil` without a limit.
    private var room: UInt64? {
        guard limit > 0 else { return nil }
        let (taken, overflow) = used.addingReportingOverflow(admitted &- settled)
        let allowed = limit - Self.bytes(ofLimit: limit)
        return overflow || taken > allowed ? 0 : allowed - taken
    }

    private func hasRoom(for bytes: Int) -> Bool { room.map { UInt64(bytes) <= $0 } ?? true }

    private var isClose: Bool {
        room.map { $0 < Self.closeReserves * Self.bytes(ofLimit: limit) } ?? false
    }
}
