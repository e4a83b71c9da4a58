public import KeyValue
import Telemetry

extension RedisStore {
    public func commit(_ batch: Batch) throws(StoreError) -> CommitOutcome {
        guard let bytes = batch.appendedBytes else {
            return try commit(batch, on: metadataLane, look: nil)
        }
        // What is as long as a block does not delay lookups.
        return try admitting(bytes) { look throws(StoreError) in
            try commit(batch, on: dataLane(), look: look)
        }
    }

    private func commit(
        _ batch: Batch, on lane: Lane, look: MemoryReserve.Look?
    ) throws(StoreError) -> CommitOutcome {
        let checks = try BatchChecks(batch).checks
        return try exchanges.withExchange(deadline: deadline()) { exchange throws(StoreError) in
            try add(batch, checks, to: exchange, on: lane)
            if look != nil { addLook(to: exchange) }
            exchange.mutates = true
            exchange.mayResend = batch.id != nil
            try call(exchange, on: lane)
            takeLook(look, from: exchange)
            try exchange.checkForErrors()
            return try outcome(exchange.replies[0])
        }
    }

    /// As `commit`, and waits for the replicas that the options ask for.
    ///
    /// Replication keeps the order of changes, whatever connection they came by: whoever has this batch has
    /// everything that was answered before.
    func commitReplicated(_ batch: Batch) throws(StoreError) -> CommitOutcome {
        guard options.replicas > 0 else { return try commit(batch) }
        let checks = try BatchChecks(batch).checks
        return try exchanges.withExchange(deadline: deadline()) { exchange throws(StoreError) in
            // Not the metadata lane: a lookup must not wait behind a WAIT.
            let lane = dataLane()
            try add(batch, checks, to: exchange, on: lane)
            addWait(to: exchange)
            exchange.mutates = true
            exchange.mayResend = batch.id != nil
            try call(exchange, on: lane)
            try exchange.checkForErrors()
            let isReplicated = try takeWait(from: exchange)
            let outcome = try outcome(exchange.replies[0])
            guard isReplicated else { throw tooFewReplicas() }
            return outcome
        }
    }

    /// Adds the batch as a call of the script of its shape, or of the interpreter.
    func add(
        _ batch: Batch, _ checks: [BatchChecks.Check], patched: [Bytes] = [],
        to exchange: Exchange, on lane: Lane
    ) throws(StoreError) {
        guard batchScripts.isUsed, let form = BatchForm(batch, checks, patched: patched) else {
            return exchange.commands.addCommit(batch, checks, patched: patched)
        }
        switch batchScripts.script(for: form.shape) {
        case .interpret: exchange.commands.addCommit(batch, checks, patched: patched)
        case .call(let script): exchange.commands.addCall(of: script, form, id: batch.id)
        case .load(let script):
            var isLoaded = false
            defer { batchScripts.didLoad(script, for: form.shape, isLoaded) }
            try load(script, on: lane)
            isLoaded = true
            exchange.commands.addCall(of: script, form, id: batch.id)
        }
    }

    /// WAIT blocks the connection: half of the time that the call has.
    func addWait(to exchange: Exchange) {
        guard options.replicas > 0 else { return }
        exchange.commands.begin("WAIT", arguments: 3)
        exchange.commands.add(options.replicas)
        exchange.commands.add(max(1, options.ioTimeoutMilliseconds / 2))
    }

    /// Whether enough replicas have everything; takes the reply to WAIT, the last one, away.
    func takeWait(from exchange: Exchange) throws(StoreError) -> Bool {
        guard options.replicas > 0 else { return true }
        guard let reply = exchange.takeLastReply() else {
            throw .protocolViolation("a pipeline without its last reply")
        }
        return try reply.integer() >= Int64(options.replicas)
    }

    func tooFewReplicas() -> StoreError {
        .unavailable("fewer than \(options.replicas) replicas have what was stored")
    }

    /// What the commit script's answer means.
    func outcome(_ reply: Reply) throws(StoreError) -> CommitOutcome {
        guard case .bulk(let text) = reply else {
            throw .protocolViolation("the commit script answered with something else than a text")
        }
        if let outcome = RememberedAnswer.outcome(text[...]) {
            switch outcome {
            case .committed: metrics.add(.batchesCommitted)
            case .conditionFailed: metrics.add(.batchConditionsFailed)
            }
            return outcome
        }
        switch text.first {
        case UInt8(ascii: "x"): throw .fenced
        case UInt8(ascii: "w"): throw .wrongKind
        case UInt8(ascii: "s"):
            throw .protocolViolation("a batch came after a later one of its slot")
        case UInt8(ascii: "m"):
            throw .protocolViolation("a remembered answer that cannot be right")
        default: throw .protocolViolation("the commit script answered something unknown")
        }
    }
}
