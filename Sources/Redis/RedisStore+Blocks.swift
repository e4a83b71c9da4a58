public import KeyValue

extension RedisStore {
    public func load(_ requests: [BlockLoad]) throws(StoreError) -> [BlockLoadAnswer] {
        guard !requests.isEmpty else { return [] }
        return try exchanges.withExchange(deadline: deadline()) { exchange throws(StoreError) in
            for request in requests {
                exchange.commands.begin("GET", arguments: 2)
                exchange.commands.add(request.key)
            }
            exchange.loads = requests
            try call(exchange, on: dataLane())
            var answers: [BlockLoadAnswer] = []
            answers.reserveCapacity(requests.count)
            for block in exchange.blocks {
                switch block {
                case .success(let answer): answers.append(answer)
                case .failure(let refusal):
                    guard case .refused(let error) = ErrorKind(refusal.text) else { continue }
                    guard error == .wrongKind else { throw error }
                    answers.append(.wrongKind)
                }
            }
            return answers
        }
    }

    public func store(
        _ writes: [BlockWrite], then batch: Batch?, by session: Bytes?
    ) throws(StoreError) -> StoreOutcome {
        guard !writes.isEmpty else {
            return StoreOutcome(
                writes: [],
                batch: try batch.map { batch throws(StoreError) in try commitReplicated(batch) })
        }
        return try admitting(writes.reduce(0) { $0 + $1.growth }) { look throws(StoreError) in
            guard let batch else {
                return StoreOutcome(writes: try storeAlone(writes, session, look), batch: nil)
            }
            guard writes.contains(where: \.isConditional) else {
                return try storeTogether(writes, batch, session, look)
            }
            // Only their answers say whether the batch may follow.
            let results = try storeAlone(writes, session, look)
            if results.contains(.conflict) { return StoreOutcome(writes: results, batch: nil) }
            return StoreOutcome(writes: results, batch: try commitReplicated(batch))
        }
    }

    public func drop(_ keys: [Bytes], by session: Bytes?) throws(StoreError) {
        guard !keys.isEmpty else { return }
        try exchanges.withExchange(deadline: deadline()) { exchange throws(StoreError) in
            for start in stride(from: 0, to: keys.count, by: Self.keysPerCommand) {
                let some = keys[start..<min(start + Self.keysPerCommand, keys.count)]
                exchange.commands.begin("UNLINK", arguments: 1 + some.count)
                for key in some { exchange.commands.add(key) }
            }
            exchange.mutates = true
            exchange.session = session
            try call(exchange, on: dataLane())
            try exchange.checkForErrors()
        }
    }

    /// One command is not interrupted by others: enough to share its cost, not enough to delay them.
    private static let keysPerCommand = 64

    /// Writes without a batch. What is staged stands in a transaction with what unstages it, so that a
    /// connection lost between the two leaves nothing behind.
    private func storeAlone(
        _ writes: [BlockWrite], _ session: Bytes?, _ look: MemoryReserve.Look?
    ) throws(StoreError) -> [StoreOutcome.Write] {
        let isTransaction = writes.contains(where: \.isStaged)
        return try exchanges.withExchange(deadline: deadline()) { exchange throws(StoreError) in
            if isTransaction { exchange.commands.begin("MULTI", arguments: 1) }
            for write in writes { exchange.commands.add(write) }
            if isTransaction { exchange.commands.begin("EXEC", arguments: 1) }
            if look != nil { addLook(to: exchange) }
            exchange.mutates = true
            exchange.session = session
            try call(exchange, on: dataLane())
            takeLook(look, from: exchange)
            try exchange.checkForErrors()
            let replies = isTransaction ? try exchange.transactionReplies() : exchange.replies
            return try results(of: writes, replies)
        }
    }

    /// Unconditional writes and a batch, in one transaction: one round trip, and whatever refuses a write
    /// stops the batch too.
    private func storeTogether(
        _ writes: [BlockWrite], _ batch: Batch, _ session: Bytes?, _ look: MemoryReserve.Look?
    ) throws(StoreError) -> StoreOutcome {
        let checks = try BatchChecks(batch).checks
        return try exchanges.withExchange(deadline: deadline()) { exchange throws(StoreError) in
            let lane = dataLane()
            exchange.commands.begin("MULTI", arguments: 1)
            for write in writes { exchange.commands.add(write) }
            try add(
                batch, checks, patched: writes.compactMap(\.patchedKey), to: exchange, on: lane)
            exchange.commands.begin("EXEC", arguments: 1)
            addWait(to: exchange)
            if look != nil { addLook(to: exchange) }
            exchange.mutates = true
            exchange.mayResend = batch.id != nil
            exchange.session = session
            try call(exchange, on: lane)
            takeLook(look, from: exchange)
            try exchange.checkForErrors()
            let isReplicated = try takeWait(from: exchange)
            let replies = try exchange.transactionReplies()
            guard isReplicated else { throw tooFewReplicas() }
            guard let last = replies.last else {
                throw .protocolViolation("a transaction without its last reply")
            }
            return StoreOutcome(
                writes: try results(of: writes, replies.dropLast()), batch: try outcome(last))
        }
    }

    private func results(
        of writes: [BlockWrite], _ replies: [Reply]
    ) throws(StoreError) -> [StoreOutcome.Write] {
        guard replies.count == writes.reduce(0, { $0 + $1.commandCount }) else {
            throw .protocolViolation("another number of replies than of commands")
        }
        var position = 0
        var results: [StoreOutcome.Write] = []
        results.reserveCapacity(writes.count)
        for write in writes {
            position += write.commandCount
            guard write.isConditional else {
                results.append(.stored(created: nil))
                continue
            }
            let answer = try replies[position - 1].integer()
            if case .copy = write.kind {
                results.append(answer == 0 ? .conflict : .stored(created: nil))
                continue
            }
            switch answer {
            case 0: results.append(.conflict)
            case 1: results.append(.stored(created: false))
            case 2: results.append(.stored(created: true))
            default: throw .protocolViolation("a block script answered something unknown")
            }
        }
        return results
    }
}

extension Exchange {
    /// The replies within that of EXEC, which is the last one.
    fileprivate func transactionReplies() throws(StoreError) -> [Reply] {
        guard case .array(let replies)? = replies.last else {
            throw .protocolViolation("a transaction that was not carried out")
        }
        return replies
    }
}

extension BlockWrite {
    /// Whether it looks at the block first.
    var isConditional: Bool {
        switch kind {
        case .replace, .patch: false
        case .patchMatching, .replaceMatching, .copy: true
        }
    }

    fileprivate var isStaged: Bool { commandCount == 2 }

    /// How many commands it becomes; the reply to the last one says what became of it.
    fileprivate var commandCount: Int {
        switch kind {
        case .replace, .patch, .patchMatching, .copy: 1
        case .replaceMatching: 2
        }
    }

    /// Its key if the command can fail after a transaction began: SETRANGE on another kind of key.
    fileprivate var patchedKey: Bytes? {
        switch kind {
        case .patch: key
        case .replace, .patchMatching, .replaceMatching, .copy: nil
        }
    }
}

extension CommandBuffer {
    /// Where a value is staged. The name needs to differ from no other writer's: between staging and
    /// unstaging nobody else is served. A key with a hash tag keeps it.
    static func stagedKey(of key: Bytes) -> Bytes { key + [UInt8(ascii: "~")] }

    func add(_ write: BlockWrite) {
        switch write.kind {
        case .replace(let header):
            begin("SET", arguments: 3)
            add(write.key)
            add(header, payload: write.payload)
        case .patch(let offset):
            begin("SETRANGE", arguments: 4)
            add(write.key)
            add(BlockHeader.byteCount + offset)
            add(nil, payload: write.payload)
        case .patchMatching(let header, let comparing, let offset):
            begin("EVALSHA", arguments: 8)
            add(Script.patchMatching.digest)
            add("1")
            add(write.key)
            add(header)
            add(comparing)
            add(BlockHeader.byteCount + offset)
            add(nil, payload: write.payload)
        case .copy(let source, _):
            // Both keys on one server: across the slots of a cluster Redis copies nothing.
            begin("COPY", arguments: 4)
            add(source)
            add(write.key)
            add("REPLACE")
        case .replaceMatching(let header, let expected):
            let staged = Self.stagedKey(of: write.key)
            begin("SET", arguments: 3)
            add(staged)
            add(header, payload: write.payload)
            // By its text, not its digest: a script that the server does not know would leave the staged
            // value behind.
            begin("EVAL", arguments: 6)
            add(Script.replaceMatching.text)
            add("2")
            add(write.key)
            add(staged)
            if let expected { add(expected) } else { add("") }
        }
    }
}
