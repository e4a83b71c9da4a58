import FileSystem
import Primitives
import VolumeStore

/// The extended attributes that the kernel asks for by itself: kept in memory, so that most inodes, which
/// have none of them, cost no trip to say so.
struct SystemAttributes: Equatable {
    /// File capabilities (capabilities(7)), which go when the file changes.
    var capability: [UInt8]?
    var accessList: [UInt8]?
    var defaultList: [UInt8]?

    static let capabilityName = [UInt8]("security.capability".utf8)

    /// Their names in the order of the values for `init`.
    static let names = [capabilityName, AccessList.accessName, AccessList.defaultName]

    init() {}

    init(values: [[UInt8]?]) {
        precondition(values.count == Self.names.count, "a value for each name")
        capability = values[0]
        accessList = values[1]
        defaultList = values[2]
    }

    static func contains(_ name: [UInt8]) -> Bool { names.contains(name) }

    func value(of name: [UInt8]) -> [UInt8]? {
        if name == Self.capabilityName { return capability }
        return name == AccessList.accessName ? accessList : defaultList
    }
}

extension VolumeFileSystem {
    /// One trip at the first time for an inode that has, or had, any extended attribute; none otherwise.
    func systemAttributes(of state: InodeState) throws(Errno) -> SystemAttributes {
        let (hasXattrs, known) = state.withFacts { ($0.record.hasXattrs, $0.systemAttributes) }
        guard hasXattrs else { return SystemAttributes() }
        if let known { return known }
        let generation = generations.current(state.id)
        let found = SystemAttributes(
            values: try store.xattrs(state.id, names: SystemAttributes.names))
        state.withFacts { facts in
            // Every change bumps the generation before it clears what is known.
            if generations.current(state.id) == generation { facts.systemAttributes = found }
        }
        return found
    }

    /// The kernel leaves it to us (HANDLE_KILLPRIV_V2) to drop `security.capability` on each change of
    /// a file's contents or owner. Asked once, then remembered.
    func dropCapability(of state: InodeState) throws(Errno) {
        guard state.record.hasXattrs, try systemAttributes(of: state).capability != nil else {
            return
        }
        do throws(Errno) {
            try store.removeXattr(state.id, name: SystemAttributes.capabilityName, time: .now)
        } catch {
            guard error == .noAttribute else { throw error }
        }
        generations.bump(state.id)
        state.withCommitted { $0.systemAttributes = nil }
    }
}
