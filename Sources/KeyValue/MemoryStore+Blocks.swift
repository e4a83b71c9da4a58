import Primitives

extension MemoryStore {
    public func load(_ requests: [BlockLoad]) throws(StoreError) -> [BlockLoadAnswer] {
        guard !requests.isEmpty else { return [] }
        try beginTrip()
        return requests.map { request in
            shards.withKey(request.key) {
                switch shards.item(request.key) {
                case nil: .absent
                case .string(let value): value.load(into: request.destination)
                case .hash, .members: .wrongKind
                }
            }
        }
    }

    public func store(
        _ writes: [BlockWrite], then batch: Batch?, by session: Bytes?
    ) throws(StoreError) -> StoreOutcome {
        guard !writes.isEmpty || batch != nil else { return StoreOutcome(writes: [], batch: nil) }
        try beginTrip()
        var results: [StoreOutcome.Write] = []
        results.reserveCapacity(writes.count)
        for write in writes {
            if !hasRoom(forBlocks: write.growth) { throw .outOfMemory }
            if case .copy(let source, _) = write.kind {
                results.append(try copy(source, to: write.key, by: session))
                continue
            }
            results.append(
                try withKey(write.key, by: session) { () throws(StoreError) in
                    try carryOut(write)
                })
        }
        guard let batch, !results.contains(.conflict) else {
            return StoreOutcome(writes: results, batch: nil)
        }
        return StoreOutcome(writes: results, batch: try apply(batch))
    }

    public func drop(_ keys: [Bytes], by session: Bytes?) throws(StoreError) {
        guard !keys.isEmpty else { return }
        try beginTrip()
        for key in keys {
            try withKey(key, by: session) { () throws(StoreError) in shards.remove(key) }
        }
    }

    /// Nothing is on its way to a store that is in memory.
    public func end(session: Bytes) throws(StoreError) {}

    /// Runs `body` while nobody else uses the key, if the session is there.
    private func withKey<Result>(
        _ key: Bytes, by session: Bytes?, _ body: () throws(StoreError) -> Result
    ) throws(StoreError) -> Result {
        guard let session else { return try shards.withKey(key, body) }
        return try shards.withKeys([key, session]) { () throws(StoreError) in
            guard shards.item(session) != nil else { throw .fenced }
            return try body()
        }
    }

    /// The two keys are locked one after the other: nobody relies on both at once.
    private func copy(
        _ source: Bytes, to key: Bytes, by session: Bytes?
    ) throws(StoreError) -> StoreOutcome.Write {
        let found = try shards.withKey(source) { () throws(StoreError) in
            try shards.string(source)?.bytes
        }
        guard let found else { return .conflict }
        try withKey(key, by: session) { () throws(StoreError) in
            shards.put(key, .string(StoredString(found)))
        }
        return .stored(created: nil)
    }

    private func carryOut(_ write: BlockWrite) throws(StoreError) -> StoreOutcome.Write {
        switch write.kind {
        case .replace(let header):
            replace(write, header)
            return .stored(created: nil)
        case .patch(let offset):
            try patch(write, at: offset, makingWith: nil)
            return .stored(created: nil)
        case .patchMatching(let header, let comparing, let offset):
            let known = try shards.string(write.key)
            if let known, !known.begins(with: header, comparing: comparing) { return .conflict }
            try patch(write, at: offset, makingWith: header)
            return .stored(created: known == nil)
        case .replaceMatching(let header, let expected):
            let known = try shards.string(write.key)
            let isExpected = expected.map { known?.header == $0 } ?? (known == nil)
            // What is there already needs no storing; on other stores it is how a writer whose answer was
            // lost finds its own work.
            let isDone = known?.holds(header: header, payload: write.payload) ?? false
            guard isExpected || isDone else { return .conflict }
            if !isDone { replace(write, header) }
            return .stored(created: expected == nil)
        case .copy: preconditionFailure("a copy looks at two keys: it has a function of its own")
        }
    }

    private func replace(_ write: BlockWrite, _ header: InlineBlockHeader) {
        if case .string(let known) = shards.item(write.key) {
            shards.changeString(known) { $0.replace(header: header, payload: write.payload) }
        } else {
            let made = StoredString(header: header, payload: write.payload)
            shards.put(write.key, .string(made))
        }
    }

    /// An absent block is made with `header`, or with a header of zero bytes, as Redis does.
    private func patch(
        _ write: BlockWrite, at offset: Int, makingWith header: InlineBlockHeader?
    ) throws(StoreError) {
        var known = try shards.string(write.key)
        if known == nil {
            guard header != nil || !write.payload.isEmpty else { return }
            let made = StoredString(header?.bytes ?? [])
            shards.put(write.key, .string(made))
            known = made
        }
        guard let known else { return }
        shards.changeString(known) {
            $0.patch(at: BlockHeader.byteCount + offset, write.payload)
        }
    }
}
