import Primitives

/// How close the cache is to holding more unsaved data than it should. Plain numbers.
///
/// A block with one dirty byte occupies a whole block of memory, so both the bytes and the blocks count:
/// random small writes would otherwise fill the cache long before the byte limit.
struct DirtyPressure: Sendable {
    let limitBytes: Int
    let blockBytes: Int
    /// Blocks that may be dirty: three quarters of the least capacity.
    let limitBlocks: Int

    /// Writers are slowed from here on.
    static let slowingStart = 0.6
    /// The flusher no longer waits for age from here on.
    static let flushStart = 0.5
    /// What a writer waits for each MiB when the pressure has reached 1; it rises with the square of the
    /// distance from `slowingStart`. 10 ms are 100 MB/s.
    static let fullDelayNanosecondsPerMebibyte = 10_000_000.0

    init(settings: CacheSettings) {
        limitBytes = settings.dirtyLimitBytes
        blockBytes = settings.blockSize.bytes
        limitBlocks = max(1, settings.leastBlockCount * 3 / 4)
    }

    /// 0: nothing is dirty; 1: the limit.
    func ratio(dirtyBytes: Int, dirtyBlocks: Int) -> Double {
        max(
            Double(dirtyBytes) / Double(limitBytes),
            Double(dirtyBlocks) / Double(limitBlocks))
    }

    /// Whether the flusher should not wait for age.
    func isPressed(dirtyBytes: Int, dirtyBlocks: Int) -> Bool {
        ratio(dirtyBytes: dirtyBytes, dirtyBlocks: dirtyBlocks) >= Self.flushStart
    }

    enum Slowing: Equatable {
        case pass
        case delay(nanoseconds: Int64)
        case waitForRoom
    }

    /// What a writer of `incoming` bytes has to do first. When nothing is dirty it always passes, so that
    /// a write larger than the limit gets through.
    func slowing(dirtyBytes: Int, dirtyBlocks: Int, incoming: Int) -> Slowing {
        if dirtyBytes == 0 { return .pass }
        let after = ratio(
            dirtyBytes: dirtyBytes + incoming,
            dirtyBlocks: dirtyBlocks + (incoming + blockBytes - 1) / blockBytes)
        if after >= 1 { return .waitForRoom }
        if after <= Self.slowingStart { return .pass }
        let share = (after - Self.slowingStart) / (1 - Self.slowingStart)
        let delay =
            share * share * Self.fullDelayNanosecondsPerMebibyte * Double(incoming) / 1_048_576
        return .delay(nanoseconds: Int64(delay))
    }
}
