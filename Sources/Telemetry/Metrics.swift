// The one list of what ApusFS counts, with units. Knows neither files nor sockets.
//
// Counters are sharded by thread so that two workers never write the same cache line; a reader sums the
// shards. There is one instance for each process, made by the CLI and handed down.

import Synchronization

/// Everything that is counted. The raw value is the name in the Prometheus text format, without the
/// prefix `apusfs_`; units stand in the name.
public enum Metric: String, CaseIterable, Sendable {
    case fuseRequests = "fuse_requests_total"
    case fuseErrors = "fuse_errors_total"
    case storeRoundTrips = "store_round_trips_total"
    case storeCommands = "store_commands_total"
    case storeSentBytes = "store_sent_bytes_total"
    case storeReceivedBytes = "store_received_bytes_total"
    case storeReconnects = "store_reconnects_total"
    case batchesCommitted = "batches_committed_total"
    case batchConditionsFailed = "batch_conditions_failed_total"
    case cacheHits = "cache_hits_total"
    case cacheMisses = "cache_misses_total"
    case cacheEvictions = "cache_evictions_total"
    case readBytes = "read_bytes_total"
    case writtenBytes = "written_bytes_total"
    case flushedBlocks = "flushed_blocks_total"
    case flushFailures = "flush_failures_total"
    case blocksCompressed = "blocks_compressed_total"
    case blocksIncompressible = "blocks_incompressible_total"
    case malformedRecords = "malformed_records_total"
    case invalidationsReceived = "invalidations_received_total"
    case reapedBlocks = "reaped_blocks_total"
    case blocksNotTried = "blocks_not_tried_total"
    case storeLosses = "store_losses_total"

    /// One line for people (HELP in the text format).
    public var help: String {
        switch self {
        case .fuseRequests: "Requests from the kernel."
        case .fuseErrors: "Requests that were answered with an error."
        case .storeRoundTrips: "Round trips to the store."
        case .storeCommands: "Commands sent to the store."
        case .storeSentBytes: "Bytes sent to the store."
        case .storeReceivedBytes: "Bytes received from the store."
        case .storeReconnects: "Connections to the store that were made again."
        case .batchesCommitted: "Metadata batches that happened."
        case .batchConditionsFailed:
            "Metadata batches that met a changed store and were decided anew."
        case .cacheHits: "Block reads answered from the cache."
        case .cacheMisses: "Block reads that went to the store."
        case .cacheEvictions: "Blocks that made room for others."
        case .readBytes: "Bytes read by programs."
        case .writtenBytes: "Bytes written by programs."
        case .flushedBlocks: "Dirty blocks stored."
        case .flushFailures: "Attempts to store dirty blocks that failed."
        case .blocksCompressed: "Blocks stored compressed."
        case .blocksIncompressible: "Blocks stored raw because they did not shrink."
        case .blocksNotTried:
            "Blocks stored raw untried, because the last ones of their file did not shrink."
        case .malformedRecords: "Stored records that cannot be right."
        case .invalidationsReceived: "Changes that other mounts announced."
        case .reapedBlocks: "Blocks of deleted files that were dropped."
        case .storeLosses: "Times that the store had lost changes that it had acknowledged."
        }
    }
}

/// The counters of one process.
public final class Metrics: @unchecked Sendable {
    private static let shardCount = 16
    /// One shard's counters, rounded up to whole pairs of cache lines.
    private static let slotsPerShard = (Metric.allCases.count + 15) / 16 * 16

    // SAFETY: allocated in init, freed in deinit; each slot is only touched through `Atomic`.
    private let slots: UnsafeMutablePointer<Atomic<UInt64>>

    public init() {
        let count = Self.shardCount * Self.slotsPerShard
        slots = .allocate(capacity: count)
        for index in 0..<count { (slots + index).initialize(to: Atomic(0)) }
    }

    deinit {
        slots.deinitialize(count: Self.shardCount * Self.slotsPerShard)
        slots.deallocate()
    }

    /// Adds to a counter; a few nanoseconds.
    public func add(_ metric: Metric, _ amount: UInt64 = 1) {
        let slot = threadShard() * Self.slotsPerShard + metric.position
        slots[slot].wrappingAdd(amount, ordering: .relaxed)
    }

    /// The sum over all threads.
    public func value(of metric: Metric) -> UInt64 {
        (0..<Self.shardCount).reduce(0) { sum, shard in
            sum &+ slots[shard * Self.slotsPerShard + metric.position].load(ordering: .relaxed)
        }
    }

    /// All counters in the Prometheus text format 0.0.4.
    public func prometheusText() -> String {
        Metric.allCases.map { metric in
            """
            # HELP apusfs_\(metric.rawValue) \(metric.help)
            # TYPE apusfs_\(metric.rawValue) counter
            apusfs_\(metric.rawValue) \(value(of: metric))

            """
        }.joined()
    }

    /// Threads spread over the shards by the address of their stack.
    private func threadShard() -> Int {
        var marker: UInt8 = 0
        return withUnsafePointer(to: &marker) { pointer in
            Int(bitPattern: pointer) >> 16 & (Self.shardCount - 1)
        }
    }
}

extension Metric {
    /// The metric's place in declaration order.
    var position: Int {
        switch self {
        case .fuseRequests: 0
        case .fuseErrors: 1
        case .storeRoundTrips: 2
        case .storeCommands: 3
        case .storeSentBytes: 4
        case .storeReceivedBytes: 5
        case .storeReconnects: 6
        case .batchesCommitted: 7
        case .batchConditionsFailed: 8
        case .cacheHits: 9
        case .cacheMisses: 10
        case .cacheEvictions: 11
        case .readBytes: 12
        case .writtenBytes: 13
        case .flushedBlocks: 14
        case .flushFailures: 15
        case .blocksCompressed: 16
        case .blocksIncompressible: 17
        case .malformedRecords: 18
        case .invalidationsReceived: 19
        case .reapedBlocks: 20
        case .storeLosses: 21
        case .blocksNotTried: 22
        }
    }
}
