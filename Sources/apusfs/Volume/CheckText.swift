import VolumeStore

/// What `apusfs check` prints.
enum CheckText {
    /// The JSON. Its keys, and the names of the kinds, are stable.
    struct Summary: Codable {
        struct Finding: Codable {
            var kind: CheckKind
            var isDamage: Bool
            var subject: String
            var detail: String
            var outcome: CheckFinding.Outcome
        }

        var status: Int32
        var damageLeft: UInt64
        var mended: UInt64
        var leftovers: UInt64
        var unsettled: UInt64
        var inodes: UInt64
        var directories: UInt64
        var entries: UInt64
        var blocks: UInt64
        var readBytes: UInt64
        var rounds: Int
        var passes: Int
        var wasInUse: Bool
        var uncounted: UInt64
        var findings: [Finding]

        init(_ report: CheckReport, _ status: CheckStatus) {
            self.status = status.rawValue
            damageLeft = report.damageLeft
            mended = report.mended
            leftovers = report.leftovers
            unsettled = report.unsettled
            inodes = report.inodes
            directories = report.directories
            entries = report.entries
            blocks = report.blocks
            readBytes = report.readBytes
            rounds = report.rounds
            passes = report.passes
            wasInUse = report.wasInUse
            uncounted = report.uncounted
            findings = report.findings.map {
                Finding(
                    kind: $0.kind, isDamage: $0.kind.isDamage, subject: $0.subject,
                    detail: $0.detail, outcome: $0.outcome)
            }
        }
    }

    /// A line for each finding, and one that sums up.
    static func text(_ report: CheckReport) -> String {
        var lines = report.findings.map { finding in
            let weight = finding.kind.isDamage ? "" : " (leftover)"
            return "\(finding.outcome.rawValue)\(weight): \(finding.kind.rawValue): "
                + "\(finding.subject): \(finding.detail)"
        }
        if report.uncounted > 0 { lines.append("... and \(report.uncounted) more") }
        let what =
            "\(report.inodes) inodes, \(report.directories) directories, \(report.entries) names, "
            + "\(report.blocks) blocks"
        let read = report.readBytes > 0 ? ", \(ByteSize.rounded(report.readBytes)) read" : ""
        lines.append("looked at \(what)\(read)" + (report.wasInUse ? " (in use)" : ""))
        if report.unsettled > 0 {
            lines.append("\(report.unsettled) inodes changed too often to be judged: check again")
        }
        let leftovers =
            report.leftovers > 0 ? ", \(report.leftovers) leftovers that mounts collect" : ""
        lines.append(
            report.isClean
                ? "intact\(report.mended > 0 ? ", \(report.mended) mended" : "")\(leftovers)"
                : "DAMAGED: \(report.damageLeft) left, \(report.mended) mended\(leftovers)")
        return lines.joined(separator: "\n")
    }
}
