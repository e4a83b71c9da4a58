public import KeyValue
import Telemetry

extension RedisStore {
    public func commit(_ batch: Batch) throws(StoreError) -> CommitOutcome {
        let checks = try BatchChecks(batch).checks
        return try exchanges.withExchange(deadline: deadline()) { exchange throws(StoreError) in
            exchange.commands.addCommit(batch, checks)
            exchange.mutates = true
            exchange.mayResend = batch.id != nil
            try call(exchange, on: metadataLane)
            try exchange.checkForErrors()
            return try outcome(exchange.replies[0])
        }
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
