import Primitives

/// Decides how many blocks the cache may hold, so that the process stays within its memory. A value.
struct CapacityRule {
    /// The process should take no more.
    let limitBytes: Int
    let blockBytes: Int
    /// Blocks that may be in use beyond the capacity at any moment.
    let reserveBlocks: Int
    /// From the least to the largest capacity.
    let blocks: ClosedRange<Int>

    /// Kept free for what comes between two looks.
    static let marginBytes = 6 << 20

    /// `poolBlocks`: how many blocks of what the process takes are the pool's.
    func capacity(residentBytes: Int, poolBlocks: Int) -> Int {
        // A slot of which little was written takes less than a block, so this can be too small. The next
        // look corrects it.
        let others = max(0, residentBytes - poolBlocks * blockBytes)
        let room = (limitBytes - Self.marginBytes - others) / blockBytes - reserveBlocks
        return min(max(room, blocks.lowerBound), blocks.upperBound)
    }

    /// Whether the limit could be met within a second.
    func isNear(residentBytes: Int) -> Bool { residentBytes >= limitBytes / 4 * 3 }
}

/// The thread that looks after the memory of the process. What it does is `CapacityRule`'s decision.
final class MemoryGovernor: Sendable {
    static let nearMilliseconds = 100
    static let farMilliseconds = 1_000

    private let isStopping = Monitor(false)
    private let thread = Locked<WorkerThread?>(nil)

    /// `look` says whether the next look should come soon.
    func start(look: @escaping @Sendable () -> Bool) {
        let worker = WorkerThread(name: "apus-memory") { [self] in
            var isNear = look()
            while true {
                let pause = isNear ? Self.nearMilliseconds : Self.farMilliseconds
                let stopped: Bool? = isStopping.wait(until: .after(milliseconds: pause)) {
                    $0 ? true : nil
                }
                if stopped != nil { return }
                isNear = look()
            }
        }
        thread.withLock { $0 = worker }
    }

    func stop() {
        isStopping.change { $0 = true }
        thread.withLock { $0 }?.join()
    }
}
