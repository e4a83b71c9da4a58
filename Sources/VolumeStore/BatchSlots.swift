import KeyValue
import Primitives

/// Hands out batch ids: 64 slots, each for one batch at a time, with a sequence number that rises.
final class BatchSlots: Sendable {
    static let count = 64
    /// Longer than any store keeps a caller waiting for an answer.
    static let waitMilliseconds = 60_000

    private struct State {
        /// Used from the end, so that few slots are in use when few threads are.
        var free = Array((0..<BatchSlots.count).reversed())
        var sequences = [UInt64](repeating: 0, count: BatchSlots.count)
    }

    private let state = Monitor(State())

    /// Runs `body` with an id that no other batch has. EIO when every slot stays taken.
    func withID<Result>(
        session: Bytes, _ body: (BatchID) throws(StoreError) -> Result
    ) throws(StoreError) -> Result {
        let deadline = Deadline.after(milliseconds: Self.waitMilliseconds)
        let taken =
            state.withLock { Self.take(&$0) }
            ?? state.wait(until: deadline) { Self.take(&$0) }
        guard let (slot, sequence) = taken else {
            throw .unavailable("all \(Self.count) batch slots stayed in use")
        }
        defer { state.change { $0.free.append(slot) } }
        return try body(BatchID(session: session, slot: slot, sequence: sequence))
    }

    private static func take(_ state: inout State) -> (slot: Int, sequence: UInt64)? {
        guard let slot = state.free.popLast() else { return nil }
        state.sequences[slot] += 1
        return (slot, state.sequences[slot])
    }
}
