import FileSystem
public import KeyValue
public import Primitives

/// What a volume holds.
public struct StoredStatistics: Sendable, Equatable {
    public var inodes: UInt64
    /// What the stored blocks would take if each were full and not compressed.
    public var storedBytes: UInt64
    public var store: StoreStatus
    /// How often mounts noticed that the store had lost changes that it had acknowledged, and when last.
    public var losses: UInt64
    public var lastLoss: Timestamp?

    /// Bytes of memory that the store uses.
    public var usedBytes: UInt64 { store.usedBytes }
    /// Bytes of memory that the store may use: its own limit, or else what its machine has.
    public var capacityBytes: UInt64 {
        store.limitBytes != 0 ? store.limitBytes : store.machineBytes
    }
    /// What of that is left for data.
    public var availableBytes: UInt64 {
        let free = capacityBytes - min(capacityBytes, usedBytes)
        return free - min(free, store.reserveBytes)
    }
}

extension VolumeStore {
    /// Two trips: the volume's counters, and what the store says of itself.
    public func statistics() throws(Errno) -> StoredStatistics {
        let answers = try read([
            .fields(key: schema.volume, [Field.inodes, Field.blocks, Field.losses, Field.lastLoss])
        ])
        guard case .values(let values) = answers[0], values.count == 4 else {
            throw answerMismatch()
        }
        let status = try translated { () throws(StoreError) in try store.status() }
        let blocks = counter(values[1], "blocks")
        let (bytes, overflow) = blocks.multipliedReportingOverflow(
            by: UInt64(settings.blockSize.bytes))
        return StoredStatistics(
            inodes: counter(values[0], "inodes"), storedBytes: overflow ? .max : bytes,
            store: status, losses: values[2].flatMap { UInt64(decimal: $0) } ?? 0,
            lastLoss: values[3].flatMap { Int64(decimal: $0) }.map { Timestamp(nanoseconds: $0) })
    }

    /// A counter of the volume's; one that fell below 0 by a crash counts as 0, and so does a damaged one,
    /// for which nobody should be kept from mounting the volume.
    private func counter(_ value: Bytes?, _ name: String) -> UInt64 {
        guard let value else { return 0 }
        guard let number = Int64(decimal: value) else {
            _ = malformed(schema.volume, "\(name) is no number")
            return 0
        }
        return UInt64(max(0, number))
    }
}
