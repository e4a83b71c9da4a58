import KeyValue
import Primitives

// Redis refuses whatever grows once its memory is at `maxmemory`, a new name as well as a block. Blocks
// are therefore refused here before (`MemoryReserve`), by what INFO says: behind blocks that are stored,
// in their trip, and in a trip of its own only when there seems to be no room.
extension RedisStore {
    /// Runs `body`, which sends so many bytes of blocks, if the server has room for them beside its
    /// reserve; with a look, the server is to be asked for its memory behind them.
    func admitting<Result>(
        _ bytes: Int, _ body: (MemoryReserve.Look?) throws(StoreError) -> Result
    ) throws(StoreError) -> Result {
        let look: MemoryReserve.Look?
        switch reserve.withLock({ $0.admit(bytes, now: Deadline.now.monotonicNanoseconds) }) {
        case .admitted: look = nil
        case .admittedWithLook(let due): look = due
        case .unknown(let due):
            try lookAtMemory(due)
            guard reserve.withLock({ $0.judge(bytes) }) else { throw .outOfMemory }
            look = nil
        }
        defer { reserve.withLock { $0.finish(bytes) } }
        return try body(look)
    }

    /// Adds the question of a look, as the last one.
    func addLook(to exchange: Exchange) {
        exchange.commands.begin("INFO", arguments: 2)
        exchange.commands.add("memory")
    }

    /// Takes its answer away. A user who may not use INFO has no reserve: then the server refuses everything
    /// at once.
    func takeLook(_ look: MemoryReserve.Look?, from exchange: Exchange) {
        guard let look, let reply = exchange.takeLastReply() else { return }
        var information: RedisInformation?
        if case .bulk(let text) = reply { information = RedisInformation(text) }
        let now = Deadline.now.monotonicNanoseconds
        reserve.withLock { reserve in
            reserve.looked(
                look, used: information?.limitedMemory ?? 0,
                limit: information?.number("maxmemory") ?? 0, now: now)
        }
    }

    private func lookAtMemory(_ look: MemoryReserve.Look) throws(StoreError) {
        try exchanges.withExchange(deadline: deadline()) { exchange throws(StoreError) in
            addLook(to: exchange)
            try call(exchange, on: dataLane())
            takeLook(look, from: exchange)
        }
    }
}
