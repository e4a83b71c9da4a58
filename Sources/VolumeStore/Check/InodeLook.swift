import FileSystem
import KeyValue
import Primitives

/// Everything that is stored about one inode, looked at while nothing changed it.
struct InodeLook {
    enum Record {
        case absent
        case wrongKind
        case unreadable([Pair], FormatError)
        case readable(InodeRecord)
    }

    /// A name that leads here.
    struct Name: Hashable {
        var directory: InodeID
        var name: Bytes
        var entry: EntryValue
    }

    /// More names than these are only counted.
    static let maximumNames = 1_024

    let inode: InodeID
    var record = Record.absent
    var names: Set<Name> = []
    var surplusNames: UInt64 = 0
    /// Names of directories in it; a set, since a walk can deliver a name twice.
    var subdirectories: Set<Bytes> = []
    var hasEntries = false
    var hasAttributes = false
    /// A session holds it open, or the garbage list has it.
    var isReferenced = false
    /// One more than the last index of blocks under its own number that no inode owns; 0 for none.
    var unownedBlocks: UInt64 = 0

    var nameCount: UInt64 { UInt64(names.count) + surplusNames }
}

/// What is wrong with an inode, and what mends it.
struct Verdict {
    enum Mending {
        /// On its conditions; what it changes is published.
        case batch([Condition], [Mutation], [RemoteChange])
        /// A name in `lost+found`.
        case attach(InodeRecord)
    }

    var kind: CheckKind
    var subject: String
    var detail: String
    /// `nil` when nothing can be done.
    var mending: Mending?
}

/// Judges one inode. Pure: what a mending relies on stands in its conditions.
struct InodeJudge {
    let schema: Schema
    let blockSize: BlockSize
    let now: Timestamp

    func judge(_ look: InodeLook) -> [Verdict] {
        switch look.record {
        case .readable(let record):
            guard record.linkCount > 0 else { return nameless(look, record) }
            return types(look, record) + attributes(look, record)
                + (record.kind == .directory ? directory(look, record) : file(look, record))
        case .absent: return absent(look)
        case .wrongKind:
            return [rebuilding(look, [], .unreadableInode, "is no hash", dropsFirst: true)]
        case .unreadable(let pairs, let error):
            return [rebuilding(look, pairs, .unreadableInode, error.what, dropsFirst: false)]
        }
    }

    // MARK: No record

    private func absent(_ look: InodeLook) -> [Verdict] {
        let isDirectory = look.names.contains { $0.entry.kind == .directory }
        if look.hasEntries {
            var named = look
            named.names = look.names.filter { $0.entry.kind == .directory }
            return [
                rebuilding(
                    named, [], .directoryWithoutInode, "has names, and no inode",
                    dropsFirst: false, kind: .directory)
            ]
        }
        if !look.names.isEmpty, !isDirectory, look.unownedBlocks > 0 {
            return [
                rebuilding(
                    look, [], .danglingEntry,
                    "\(text(look.names)) names no inode; its blocks exist",
                    dropsFirst: false, kind: .regular)
            ]
        }
        var verdicts = look.names.map { name in
            Verdict(
                kind: .danglingEntry, subject: text(name),
                detail: "names inode \(look.inode), which is not there",
                mending: dropping(
                    name, conditions: [.keyAbsent(schema.inode(look.inode))]))
        }
        if look.hasAttributes {
            let key = schema.xattrs(look.inode)
            verdicts.append(
                Verdict(
                    kind: .attributesWithoutInode, subject: text(key),
                    detail: "belongs to no inode",
                    mending: .batch(
                        [.keyAbsent(schema.inode(look.inode))], [.delete(key: key)], [])))
        }
        return verdicts
    }

    private func rebuilding(
        _ look: InodeLook, _ pairs: [Pair], _ kind: CheckKind, _ what: String, dropsFirst: Bool,
        kind named: FileKind? = nil
    ) -> Verdict {
        let key = schema.inode(look.inode)
        var mender = RecordMender(
            inode: look.inode, namedKind: named, blocksOfOwnNumber: look.unownedBlocks,
            blockSize: blockSize, now: now)
        let kinds = Set(look.names.map(\.entry.kind))
        if mender.namedKind == nil, kinds.count == 1 { mender.namedKind = kinds.first }
        if mender.namedKind == nil, look.hasEntries { mender.namedKind = .directory }
        let mended = mender.mended(pairs)
        var conditions = pairs.map {
            Condition.fieldEquals(key: key, field: $0.field, value: $0.value)
        }
        if pairs.isEmpty { conditions = [dropsFirst ? .keyExists(key) : .keyAbsent(key)] }
        let mending: Verdict.Mending? =
            if let mended {
                .batch(
                    conditions, [.delete(key: key), .setFields(key: key, mended)],
                    [.attributes(look.inode)])
            } else if mender.isLink(pairs) {
                clearing(look, conditions)
            } else {
                nil
            }
        return Verdict(kind: kind, subject: text(key), detail: what, mending: mending)
    }

    /// A symbolic link whose target is lost held nothing else: it goes, and its names with it, as with
    /// e2fsck(8).
    private func clearing(_ look: InodeLook, _ conditions: [Condition]) -> Verdict.Mending {
        let names = look.names.filter { $0.entry.kind == .symbolicLink }
        let keys = [schema.inode(look.inode), schema.xattrs(look.inode)]
        return .batch(
            conditions
                + names.map {
                    .fieldEquals(
                        key: schema.directory($0.directory), field: $0.name, value: $0.entry.stored)
                },
            keys.map { .delete(key: $0) }
                + names.map {
                    .deleteFields(key: schema.directory($0.directory), [$0.name])
                },
            [.attributes(look.inode)]
                + names.flatMap {
                    [.entry(parent: $0.directory, name: $0.name), .attributes($0.directory)]
                })
    }

    // MARK: Names and types

    private func types(_ look: InodeLook, _ record: InodeRecord) -> [Verdict] {
        look.names.filter { $0.entry.kind != record.kind }.map { name in
            let key = schema.directory(name.directory)
            return Verdict(
                kind: .wrongEntryType, subject: text(name),
                detail: "says \(name.entry.kind), inode \(look.inode) is a \(record.kind)",
                mending: .batch(
                    [
                        .fieldEquals(key: key, field: name.name, value: name.entry.stored),
                        modeCondition(look.inode, record),
                    ],
                    [.setFields(key: key, [Pair(name.name, EntryValue(record).stored)])],
                    [.entry(parent: name.directory, name: name.name)]))
        }
    }

    private func attributes(_ look: InodeLook, _ record: InodeRecord) -> [Verdict] {
        guard look.hasAttributes, !record.hasXattrs else { return [] }
        let key = schema.inode(look.inode)
        return [
            Verdict(
                kind: .hiddenAttributes, subject: text(key), detail: "has attributes and no x",
                mending: .batch(
                    [.keyExists(key)], [.setFields(key: key, [Pair(Field.hasXattrs, Field.one)])],
                    [.attributes(look.inode)]))
        ]
    }

    private func nameless(_ look: InodeLook, _ record: InodeRecord) -> [Verdict] {
        let key = schema.inode(look.inode)
        let isNameless = Condition.fieldExists(key: key, field: Field.nameless)
        if look.nameCount > 0 {
            return [
                settingLinks(
                    look, record, to: look.nameCount,
                    more: [.deleteFields(key: key, [Field.nameless])])
            ]
        }
        guard !look.isReferenced else { return [] }
        return [
            Verdict(
                kind: .leakedNamelessInode, subject: text(key),
                detail: "has no names, and nobody holds it",
                mending: .batch(
                    [isNameless],
                    [
                        .addMemberDue(
                            key: schema.garbage, name: GarbageItem.inode(look.inode).stored,
                            inMilliseconds: 0)
                    ], []))
        ]
    }

    private func file(_ look: InodeLook, _ record: InodeRecord) -> [Verdict] {
        if look.nameCount == 0 { return [orphan(look, record)] }
        var verdicts: [Verdict] = []
        if look.nameCount != UInt64(record.linkCount) {
            verdicts.append(settingLinks(look, record, to: look.nameCount))
        }
        if look.hasEntries {
            let key = schema.directory(look.inode)
            verdicts.append(
                Verdict(
                    kind: .directoryWithoutInode, subject: text(key),
                    detail: "has names, and inode \(look.inode) is a \(record.kind)",
                    mending: .batch(
                        [modeCondition(look.inode, record)], [.delete(key: key)], [.everything])))
        }
        return verdicts
    }

    // MARK: Directories

    private func directory(_ look: InodeLook, _ record: InodeRecord) -> [Verdict] {
        var verdicts: [Verdict] = []
        let links = 2 + UInt64(look.subdirectories.count)
        if links != UInt64(record.linkCount) {
            verdicts.append(settingLinks(look, record, to: links))
        }
        let names = look.names.filter { $0.entry.kind == .directory }
        guard look.inode != .root else {
            return verdicts + look.names.map { surplus($0, look.inode, "names the root") }
        }
        if names.isEmpty {
            // A name of another type is put right first.
            return look.names.isEmpty ? verdicts + [orphan(look, record)] : verdicts
        }
        let right = names.filter { $0.directory == record.parent }.min { text($0) < text($1) }
        guard let right else {
            if let name = names.min(by: { text($0) < text($1) }) {
                verdicts.append(settingParent(look, record, name))
            }
            return verdicts
        }
        return verdicts
            + names.filter { $0 != right }.map {
                surplus($0, look.inode, "is a second name of directory \(look.inode)")
            }
    }

    private func settingParent(
        _ look: InodeLook, _ record: InodeRecord, _ name: InodeLook.Name
    ) -> Verdict {
        let key = schema.inode(look.inode)
        return Verdict(
            kind: .wrongParent, subject: text(key),
            detail: "says p = \(record.parent), \(text(name)) names it",
            mending: .batch(
                [
                    .fieldEquals(
                        key: key, field: Field.parent, value: Bytes(decimal: record.parent.rawValue)
                    ),
                    .fieldEquals(
                        key: schema.directory(name.directory), field: name.name,
                        value: name.entry.stored),
                ],
                [
                    .setFields(
                        key: key, [Pair(Field.parent, Bytes(decimal: name.directory.rawValue))])
                ], [.attributes(look.inode)]))
    }

    private func surplus(
        _ name: InodeLook.Name, _ inode: InodeID, _ what: String
    ) -> Verdict {
        Verdict(
            kind: .surplusDirectoryName, subject: text(name), detail: what,
            mending: dropping(name, conditions: [.keyExists(schema.inode(inode))]))
    }

    // MARK: Parts

    private func orphan(_ look: InodeLook, _ record: InodeRecord) -> Verdict {
        Verdict(
            kind: .orphan, subject: text(schema.inode(look.inode)),
            detail: "\(record.kind) of \(record.size) bytes without a name",
            mending: .attach(record))
    }

    private func settingLinks(
        _ look: InodeLook, _ record: InodeRecord, to count: UInt64, more: [Mutation] = []
    ) -> Verdict {
        let key = schema.inode(look.inode)
        return Verdict(
            kind: .wrongLinkCount, subject: text(key),
            detail: "says n = \(record.linkCount), \(count) is right",
            mending: .batch(
                [
                    .fieldEquals(
                        key: key, field: Field.links,
                        value: Bytes(decimal: UInt64(record.linkCount)))
                ], [.setFields(key: key, [Pair(Field.links, Bytes(decimal: count))])] + more,
                [.attributes(look.inode)]))
    }

    private func dropping(
        _ name: InodeLook.Name, conditions: [Condition]
    ) -> Verdict.Mending {
        let key = schema.directory(name.directory)
        return .batch(
            [.fieldEquals(key: key, field: name.name, value: name.entry.stored)] + conditions,
            [.deleteFields(key: key, [name.name])],
            [.entry(parent: name.directory, name: name.name), .attributes(name.directory)])
    }

    private func modeCondition(_ inode: InodeID, _ record: InodeRecord) -> Condition {
        .fieldEquals(
            key: schema.inode(inode), field: Field.mode,
            value: Bytes(decimal: UInt64(record.mode)))
    }

    private func text(_ names: Set<InodeLook.Name>) -> String {
        names.map { text($0) }.min() ?? ""
    }

    func text(_ name: InodeLook.Name) -> String {
        "\(text(schema.directory(name.directory))) '\(String(decoding: name.name, as: UTF8.self))'"
    }

    func text(_ key: Bytes) -> String { String(decoding: key, as: UTF8.self) }
}
