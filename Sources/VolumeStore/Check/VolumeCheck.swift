public import KeyValue
public import Logging
import Primitives
import Telemetry

/// Looks whether a volume is what docs/FORMAT.md says, and mends what is not: the fsck of a volume, for
/// one that is mounted and for one that is not.
///
/// A walk counts, in tables of bounded size. What does not add up is looked at again, all of it while
/// nothing changed it (a mount's change is heard: `ChangeListener`), and judged by `InodeJudge`. Each
/// mending is one batch on the condition of what was seen, published to mounts. After mendings the
/// volume is walked again, until there is nothing left or nothing more can be done.
public final class VolumeCheck {
    let reader: CheckReader
    let schema: Schema
    let options: CheckOptions
    let settings: VolumeSettings
    let listener = ChangeListener()
    let volume: VolumeStore
    let progress: (CheckProgress) -> Void
    let logger: Logger

    var report = CheckReport()
    /// Findings of this round.
    var round: [CheckFinding] = []
    var roundOverflow: UInt64 = 0
    var mendedInRound = 0
    /// What the sessions hold and the garbage list has.
    var references = CheckReferences()
    /// The greatest inode number or data id, and session number, that was met.
    var greatestNumber: UInt64 = 0
    var greatestSession: UInt64 = 0
    /// Directories from which the way up leads to the root.
    var reachable: Set<UInt64> = [InodeID.root.rawValue]

    /// Walks of a volume that is mended, or in use; each goes further than the one before.
    private static let maximumRounds = 12
    private static let maximumRoundsInUse = 3

    /// `progress` is called some times a second, from the caller's thread.
    public init(
        _ store: any KeyValueStore, name: VolumeName, options: CheckOptions,
        logger: Logger = Logger(label: "apusfs.check"),
        progress: @escaping (CheckProgress) -> Void = { _ in }
    ) throws(VolumeError) {
        settings = try VolumeStore.readSettings(store, name: name)
        schema = Schema(name)
        reader = CheckReader(store: store, schema: schema)
        self.options = options
        self.progress = progress
        self.logger = logger
        volume = try VolumeStore(
            store: store, settings: settings,
            session: SessionDescription(host: "", processID: 0, mountPoint: "", version: ""),
            isReadOnly: true, metrics: Metrics(), logger: logger)
    }

    /// Walks the volume as often as is needed. Throws what keeps it from doing so; what was mended until
    /// then stays mended.
    public func run() throws(VolumeError) -> CheckReport {
        try VolumeStore.translating { () throws(StoreError) in
            let subscription = try listener.listen(to: schema.channel, of: reader.store)
            defer { subscription.cancel() }
            var mended: [CheckFinding] = []
            while true {
                report.rounds += 1
                let changes = try begin()
                try walk()
                report.wasInUse = try reader.counter(Field.changes) != changes
                mended += round.filter { $0.outcome == .mended }
                let isOver =
                    options.repairs
                    ? (round.isEmpty && report.unsettled == 0)
                        || mendedInRound == 0
                            && (report.unsettled == 0 || report.rounds >= Self.maximumRoundsInUse)
                        || report.rounds >= Self.maximumRounds
                    : report.unsettled == 0 || report.rounds >= Self.maximumRoundsInUse
                if isOver { break }
            }
            summarize(mended)
            return report
        }
    }

    private func begin() throws(StoreError) -> Int64? {
        round = []
        roundOverflow = 0
        mendedInRound = 0
        greatestNumber = 0
        greatestSession = 0
        reachable = [InodeID.root.rawValue]
        report.unsettled = 0
        report.inodes = 0
        report.directories = 0
        report.entries = 0
        report.blocks = 0
        report.readBytes = 0
        return try reader.counter(Field.changes)
    }

    /// One walk, in as many passes as the memory asks for.
    private func walk() throws(StoreError) {
        let changes = try reader.counter(Field.changes)
        let inodes = UInt64(max(1, try reader.counter(Field.inodes) ?? 1))
        let passes = CheckTables.passes(inodes: inodes, memoryBytes: options.memoryBytes)
        report.passes = Int(passes)
        try checkSessions()
        for pass in 0..<passes {
            var tables = CheckTables(pass: pass, passes: passes)
            // Blocks before records before garbage: a block that nobody names then, nobody will name.
            try countBlocks(&tables)
            try countRecords(&tables)
            references = try readReferences()
            try judge(&tables)
        }
        try checkGarbage()
        try checkCounters(unchangedSince: changes)
    }

    private func summarize(_ mended: [CheckFinding]) {
        let left = round.filter { $0.outcome != .mended }
        report.mended = UInt64(mended.count)
        report.damageLeft = UInt64(left.count { $0.kind.isDamage })
        report.leftovers = UInt64(left.count { !$0.kind.isDamage })
        report.uncounted += roundOverflow
        if roundOverflow > 0 { report.damageLeft += roundOverflow }
        let all = mended + left
        report.uncounted += UInt64(max(0, all.count - CheckReport.maximumFindings))
        report.findings = Array(all.prefix(CheckReport.maximumFindings))
    }

    // MARK: Findings

    /// Findings of one round that are kept.
    private static let maximumInRound = 100_000

    /// Notes a finding, after mending it if that was asked for.
    func find(_ verdict: Verdict) throws(StoreError) {
        var outcome = CheckFinding.Outcome.found
        if options.repairs {
            outcome = try mend(verdict) ? .mended : .left
            if outcome == .mended { mendedInRound += 1 }
        }
        add(
            CheckFinding(
                kind: verdict.kind, subject: verdict.subject, detail: verdict.detail,
                outcome: outcome))
    }

    /// Notes a finding that was dealt with already.
    func note(
        _ kind: CheckKind, _ key: Bytes, _ detail: String, _ outcome: CheckFinding.Outcome
    ) {
        if outcome == .mended { mendedInRound += 1 }
        add(
            CheckFinding(
                kind: kind, subject: String(decoding: key, as: UTF8.self), detail: detail,
                outcome: outcome))
    }

    private func add(_ finding: CheckFinding) {
        guard round.count < Self.maximumInRound else {
            roundOverflow += 1
            return
        }
        round.append(finding)
    }

    func find(
        _ kind: CheckKind, _ key: Bytes, _ detail: String, _ conditions: [Condition] = [],
        mending mutations: [Mutation]?, publishing changes: [RemoteChange] = []
    ) throws(StoreError) {
        try find(
            Verdict(
                kind: kind, subject: String(decoding: key, as: UTF8.self), detail: detail,
                mending: mutations.map { .batch(conditions, $0, changes) }))
    }

    func tell(_ stage: CheckProgress.Stage, _ done: UInt64, of total: Int64?) {
        progress(
            CheckProgress(
                round: report.rounds, stage: stage, done: done, total: UInt64(max(0, total ?? 0))))
    }
}

/// What sessions hold and the garbage list has, as one look found it.
struct CheckReferences {
    var inodes: Set<UInt64> = []
    var data: Set<UInt64> = []
    var sessions: Set<UInt64> = []
    var crashed: Set<UInt64> = []
    /// The garbage list is longer than what was read.
    var isPartial = false
}
