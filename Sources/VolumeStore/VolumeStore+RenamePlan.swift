import FileSystem
import KeyValue
import Primitives

extension VolumeStore {
    typealias Source = (parent: InodeID, name: [UInt8], record: InodeRecord)
    typealias Target = (parent: InodeID, name: [UInt8], record: InodeRecord?)

    /// Decides a rename from what is believed; every belief becomes a condition.
    func planRename(
        _ from: Source, _ to: Target, flags: RenameFlags, isOpen: (InodeID) -> Bool,
        time: Timestamp, trustsKnownParents: Bool
    ) throws(Errno) -> RenamePlan {
        if flags == .noReplace, to.record != nil { return .refuse(.exists) }
        if let target = to.record, target.id == from.record.id { return .nothing }
        if let errno = refusal(from.record, to.record, flags) { return .refuse(errno) }
        var batch = RenameBatch(
            conditions: [
                sourceCondition(from),
                targetCondition(to),
                .keyExists(schema.inode(to.parent)),
                .keyExists(schema.inode(from.record.id)),
            ],
            mutations: [], loss: nil, isExchange: flags == .exchange)
        if from.parent != to.parent {
            var moves: [(InodeRecord, under: InodeID)] = [(from.record, to.parent)]
            if flags == .exchange, let target = to.record { moves.append((target, from.parent)) }
            for (record, newParent) in moves where record.kind == .directory {
                guard
                    let guarding = try ancestry(
                        of: newParent, without: record.id, trustsKnown: trustsKnownParents)
                else { return .refuse(.invalid) }
                batch.conditions += guarding
            }
        }
        if flags == .exchange, let target = to.record {
            batch.conditions.append(.keyExists(schema.inode(target.id)))
            batch.mutations = exchange(from, (to.parent, to.name, target))
        } else {
            batch.loss = to.record.map { target in
                target.kind == .directory
                    ? lossOfDirectory(target)
                    : lossOfName(target, isOpen: isOpen(target.id), time: time)
            }
            if batch.loss?.removal.kind == .directory {
                batch.emptinessCondition = batch.conditions.count
            }
            batch.conditions += batch.loss?.conditions ?? []
            batch.mutations = move(from, to, batch.loss)
        }
        batch.mutations += renameTimes(from, to, flags, time)
        batch.mutations.append(publish(renameChanges(from, to, batch.loss)))
        return .commit(batch)
    }

    func sourceCondition(_ from: Source) -> Condition {
        .fieldEquals(
            key: schema.directory(from.parent), field: from.name,
            value: EntryValue(from.record).stored)
    }

    /// What rename(2) refuses by the kinds of what is there.
    private func refusal(
        _ moving: InodeRecord, _ target: InodeRecord?, _ flags: RenameFlags
    ) -> Errno? {
        guard let target else { return nil }
        if flags == .exchange { return nil }
        switch (moving.kind == .directory, target.kind == .directory) {
        case (true, false): return .notDirectory
        case (false, true): return .isDirectory
        case (true, true), (false, false): return nil
        }
    }

    func targetCondition(_ to: Target) -> Condition {
        let directory = schema.directory(to.parent)
        guard let record = to.record else {
            return .fieldAbsent(key: directory, field: to.name)
        }
        return .fieldEquals(
            key: directory, field: to.name, value: EntryValue(record).stored)
    }

    /// Deletions stand first, so that a full store does not refuse them.
    private func move(_ from: Source, _ to: Target, _ loss: NameLoss?) -> [Mutation] {
        var mutations: [Mutation] = [
            .deleteFields(key: schema.directory(from.parent), [from.name])
        ]
        mutations += loss?.mutations ?? []
        mutations.append(
            .setFields(
                key: schema.directory(to.parent),
                [Pair(to.name, EntryValue(from.record).stored)]))
        guard from.record.kind == .directory else { return mutations }
        let isReplacing = loss != nil
        if from.parent != to.parent {
            mutations.append(reparent(from.record.id, to.parent))
            mutations.append(link(from.parent, by: -1))
            // A replaced directory takes its link to the new parent along.
            if !isReplacing { mutations.append(link(to.parent, by: 1)) }
        } else if isReplacing {
            mutations.append(link(from.parent, by: -1))
        }
        return mutations
    }

    private func exchange(_ from: Source, _ to: Source) -> [Mutation] {
        var mutations: [Mutation] = [
            .setFields(
                key: schema.directory(from.parent), [Pair(from.name, EntryValue(to.record).stored)]
            ),
            .setFields(
                key: schema.directory(to.parent), [Pair(to.name, EntryValue(from.record).stored)]),
        ]
        guard from.parent != to.parent else { return mutations }
        let isFromDirectory = from.record.kind == .directory
        let isToDirectory = to.record.kind == .directory
        if isFromDirectory { mutations.append(reparent(from.record.id, to.parent)) }
        if isToDirectory { mutations.append(reparent(to.record.id, from.parent)) }
        if isFromDirectory != isToDirectory {
            mutations.append(link(from.parent, by: isFromDirectory ? -1 : 1))
            mutations.append(link(to.parent, by: isFromDirectory ? 1 : -1))
        }
        return mutations
    }

    private func reparent(_ directory: InodeID, _ parent: InodeID) -> Mutation {
        .setFields(
            key: schema.inode(directory), [Pair(Field.parent, Bytes(decimal: parent.rawValue))])
    }

    private func renameTimes(
        _ from: Source, _ to: Target, _ flags: RenameFlags, _ time: Timestamp
    ) -> [Mutation] {
        var mutations = touch(from.parent, time)
        if to.parent != from.parent { mutations += touch(to.parent, time) }
        var moved = [from.record.id]
        if flags == .exchange, let target = to.record { moved.append(target.id) }
        mutations += moved.map {
            .raise(key: schema.inode($0), field: Field.changeTime, to: time.nanoseconds)
        }
        return mutations
    }

    private func renameChanges(
        _ from: Source, _ to: Target, _ loss: NameLoss?
    ) -> [RemoteChange] {
        var changes: [RemoteChange] = [
            .entry(parent: from.parent, name: from.name),
            .entry(parent: to.parent, name: to.name),
            .attributes(from.parent), .attributes(from.record.id),
        ]
        if to.parent != from.parent { changes.append(.attributes(to.parent)) }
        if let loss {
            changes += loss.changes
        } else if let target = to.record {
            changes.append(.attributes(target.id))
        }
        return changes
    }

    /// Deeper trees are not walked: EIO.
    private static let maximumDepth = 8_192

    /// Conditions that hold while the ancestors of `directory` are the ones found now; `nil` when
    /// `moved` is one of them. Two opposite moves cannot both meet theirs, so no cycle can form.
    private func ancestry(
        of directory: InodeID, without moved: InodeID, trustsKnown: Bool
    ) throws(Errno) -> [Condition]? {
        var conditions: [Condition] = []
        var current = directory
        while current != moved {
            if current == .root { return conditions }
            guard conditions.count < Self.maximumDepth else {
                // What was seen at different times may look like a cycle.
                if trustsKnown { return nil }
                throw malformed(schema.inode(directory), "a directory too deep or in a cycle")
            }
            var parent = InodeID(0)
            if trustsKnown, let entry = known.entry(current), entry.kind == .directory {
                parent = entry.parent
            } else {
                guard let record = try records(of: [current])[0] else { throw .noEntry }
                guard record.kind == .directory else { throw .notDirectory }
                parent = record.parent
            }
            conditions.append(
                .fieldEquals(
                    key: schema.inode(current), field: Field.parent,
                    value: Bytes(decimal: parent.rawValue)))
            current = parent
        }
        return nil
    }
}
