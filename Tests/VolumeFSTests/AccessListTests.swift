import FileSystem
import Primitives
import Telemetry
import TestSupport
import Testing
import VolumeStore

@testable import VolumeFS

@Suite struct AccessListTests {
    typealias Entry = AccessList.Entry

    /// user::, user:100:, group::, group:200:, mask::, other::
    private static func full(
        _ owner: UInt32, _ user: UInt32, _ group: UInt32, _ named: UInt32, _ mask: UInt32,
        _ others: UInt32
    ) -> [UInt8] {
        encode([
            (1, owner, .max), (2, user, 100), (4, group, .max), (8, named, 200), (16, mask, .max),
            (32, others, .max),
        ])
    }

    private static func encode(
        version: UInt8 = 2, _ entries: [(UInt8, UInt32, UInt32)]
    ) -> [UInt8] {
        var bytes: [UInt8] = [version, 0, 0, 0]
        for (tag, permissions, id) in entries {
            bytes += [tag, 0, UInt8(permissions), 0]
            withUnsafeBytes(of: id.littleEndian) { bytes.append(contentsOf: $0) }
        }
        return bytes
    }

    @Test func `a list comes back as it was set, and stands for permission bits`() throws {
        let bytes = Self.full(7, 6, 5, 4, 6, 1)
        let list = try #require(try AccessList(parsing: bytes))
        #expect(list.encoded == bytes)
        #expect(list.mode == 0o761)
        #expect(!list.isMinimal)
        let minimal = AccessList(mode: 0o640)
        #expect(minimal.isMinimal)
        #expect(minimal.mode == 0o640)
        #expect(try AccessList(parsing: minimal.encoded) == minimal)
        #expect(try AccessList(parsing: [2, 0, 0, 0]) == nil)
    }

    static let invalid: [[(UInt8, UInt32, UInt32)]] = [
        // No owner, no group, no others.
        [(4, 7, .max), (32, 7, .max)], [(1, 7, .max), (32, 7, .max)], [(1, 7, .max), (4, 7, .max)],
        // Somebody is named, without a mask.
        [(1, 7, .max), (2, 7, 100), (4, 7, .max), (32, 7, .max)],
        // The wrong order, one twice, two masks.
        [(4, 7, .max), (1, 7, .max), (32, 7, .max)],
        [(1, 7, .max), (1, 7, .max), (4, 7, .max), (32, 7, .max)],
        [(1, 7, .max), (4, 7, .max), (16, 7, .max), (16, 7, .max), (32, 7, .max)],
        // A permission or a tag that is none, a user without an id.
        [(1, 8, .max), (4, 7, .max), (32, 7, .max)], [(3, 7, .max), (4, 7, .max), (32, 7, .max)],
        [(1, 7, .max), (2, 7, .max), (4, 7, .max), (16, 7, .max), (32, 7, .max)],
    ]

    @Test(arguments: invalid.indices)
    func `a list that is none is EINVAL`(index: Int) {
        #expect(throws: Errno.invalid) {
            try AccessList(parsing: Self.encode(Self.invalid[index]))
        }
    }

    @Test func `bytes that are no list are refused`() {
        for bytes: [UInt8] in [[], [2, 0, 0], [2, 0, 0, 0, 1], Self.full(7, 7, 7, 7, 7, 7) + [0]] {
            #expect(throws: Errno.invalid) { try AccessList(parsing: bytes) }
        }
        #expect(throws: Errno.notSupported) {
            try AccessList(parsing: Self.encode(version: 3, [(1, 7, .max)]))
        }
    }

    @Test func `chmod changes the mask, or the group where there is none`() throws {
        var list = try #require(try AccessList(parsing: Self.full(7, 6, 5, 4, 6, 1)))
        list.changeMode(to: 0o642)
        #expect(list.encoded == Self.full(6, 6, 5, 4, 4, 2))
        var minimal = AccessList(mode: 0o777)
        minimal.changeMode(to: 0o642)
        #expect(minimal == AccessList(mode: 0o642))
    }

    @Test func `a new inode has what both its directory and its creator allow`() throws {
        let defaults = try #require(try AccessList(parsing: Self.full(7, 6, 5, 4, 7, 5)))
        let list = defaults.inherited(mode: 0o640)
        #expect(list.encoded == Self.full(6, 6, 5, 4, 4, 0))
        #expect(list.mode == 0o640)
        #expect(AccessList(mode: 0o750).inherited(mode: 0o666) == AccessList(mode: 0o640))
    }

    // MARK: On a volume

    private func value(
        _ volume: VolumeFileSystem, _ inode: InodeID, _ name: [UInt8]
    ) throws -> [UInt8]? {
        do throws(Errno) {
            return try volume.readAttribute(inode, name)
        } catch .noAttribute {
            return nil
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `a list and the permission bits follow each other`(_ kind: StoreKind) throws {
        let harness = try VolumeHarness(store: kind)
        defer { harness.unmount() }
        let volume = harness.volume
        let (inode, handle) = try volume.create("f", mode: 0o6755)
        try volume.setAttribute(inode, AccessList.accessName, Self.full(7, 6, 5, 4, 6, 1))
        #expect(try volume.attributes(inode).permissions == 0o6761)
        var changes = AttributeChanges()
        changes.permissions = 0o640
        _ = try volume.setattr(
            VolumeHarness.root, inode: inode, changes: changes, handle: nil)
        #expect(try volume.attributes(inode).permissions == 0o640)
        let stored = try value(volume, inode, AccessList.accessName)
        #expect(stored == Self.full(6, 6, 5, 4, 4, 0))
        // A list that says no more than the bits is not kept.
        try volume.setAttribute(
            inode, AccessList.accessName, AccessList(mode: 0o604).encoded)
        #expect(try value(volume, inode, AccessList.accessName) == nil)
        #expect(try volume.attributes(inode).permissions == 0o604)
        try volume.close(inode, handle)
    }

    @Test(arguments: StoreKind.allCases)
    func `a default list is inherited, replaces the umask, and costs no trip of its own`(
        _ kind: StoreKind
    ) throws {
        var options = VolumeOptions()
        options.flushIntervalMilliseconds = 3_600_000
        options.accessTimes = .noatime
        let harness = try VolumeHarness(store: kind, options: options)
        defer { harness.unmount() }
        let volume = harness.volume
        let directory = try volume.mkdir("d")
        let list = Self.full(7, 6, 5, 4, 7, 5)
        try volume.setAttribute(directory, AccessList.defaultName, list)
        _ = try volume.create("warm", in: directory)
        let caller = Caller(userID: 0, groupID: 0, processID: 1, umask: 0o077)
        var made: [InodeID] = []
        let trips = try harness.trips {
            made.append(
                try volume.withName("sub") {
                    try volume.mkdir(caller, parent: directory, name: $0, mode: 0o777)
                        .attributes.inode
                })
            made.append(
                try volume.withName("file") {
                    try volume.mknod(
                        caller, parent: directory, name: $0, mode: 0o100666, device: 0
                    ).attributes.inode
                })
        }
        #expect(trips == 2, "\(harness.lastCalls)")
        #expect(try volume.attributes(made[0]).permissions == 0o775)
        #expect(try volume.attributes(made[1]).permissions == 0o664)
        try harness.remount()
        let again = harness.volume
        #expect(try value(again, made[0], AccessList.defaultName) == list)
        #expect(try value(again, made[0], AccessList.accessName) == list)
        #expect(try value(again, made[1], AccessList.accessName) == Self.full(6, 6, 5, 4, 6, 4))
        #expect(try value(again, made[1], AccessList.defaultName) == nil)
        let plain = try again.withName("plain") {
            try again.mkdir(caller, parent: .root, name: $0, mode: 0o777).attributes
        }
        #expect(plain.permissions == 0o700)
    }

    @Test func `a stored list that is none is EIO for what needs it, and for nothing else`() throws
    {
        let harness = try VolumeHarness()
        defer { harness.unmount() }
        let volume = harness.volume
        let directory = try volume.mkdir("d")
        let (file, _) = try volume.create("f")
        for (inode, name) in [(directory, AccessList.defaultName), (file, AccessList.accessName)] {
            try harness.volumeStore.setXattr(
                inode, name: name, value: [2, 0, 0, 0, 9], mode: .createOrReplace, time: .now)
        }
        try harness.remount()
        #expect(throws: Errno.ioError) { try harness.volume.create("new", in: directory) }
        var changes = AttributeChanges()
        changes.permissions = 0o600
        #expect(throws: Errno.ioError) {
            try harness.volume.setattr(
                VolumeHarness.root, inode: file, changes: changes, handle: nil)
        }
        #expect(harness.metrics.value(of: .malformedRecords) == 2)
        #expect(try harness.volume.attributes(file).permissions == 0o644)
        #expect(try harness.volume.list(directory) == [])
        try harness.volume.setAttribute(file, AccessList.accessName, Self.full(7, 6, 5, 4, 6, 1))
        #expect(try harness.volume.attributes(file).permissions == 0o761)
    }

    @Test(arguments: StoreKind.allCases)
    func `what is absent costs no trip, however often the kernel asks`(_ kind: StoreKind) throws {
        let harness = try VolumeHarness(store: kind)
        defer { harness.unmount() }
        let volume = harness.volume
        let (inode, _) = try volume.create("f")
        func askForAll() throws {
            for name in SystemAttributes.names {
                let found = try value(volume, inode, name)
                #expect(found == nil)
            }
        }
        let trips = try harness.trips { try askForAll() }
        #expect(trips == 0, "\(harness.lastCalls)")
        // An inode that has others is asked for once.
        try volume.setAttribute(inode, [UInt8]("user.x".utf8), [1])
        let first = try harness.trips { _ = try value(volume, inode, AccessList.accessName) }
        #expect(first == 1, "\(harness.lastCalls)")
        let later = try harness.trips { try askForAll() }
        #expect(later == 0, "\(harness.lastCalls)")
    }

    @Test(arguments: StoreKind.allCases)
    func `a capability goes with a write, a truncation and a change of owner`(_ kind: StoreKind)
        throws
    {
        let harness = try VolumeHarness(store: kind)
        defer { harness.unmount() }
        let volume = harness.volume
        let (inode, handle) = try volume.create("f")
        let actions: [() throws -> Void] = [
            { try volume.write([1], to: inode, handle, at: 0) },
            { try volume.truncate(inode, to: 0) },
            { try volume.allocate(inode, handle, mode: 0, at: 0, count: 10) },
            {
                var changes = AttributeChanges()
                changes.userID = 5
                _ = try volume.setattr(
                    VolumeHarness.root, inode: inode, changes: changes, handle: nil)
            },
        ]
        for action in actions {
            try volume.setAttribute(inode, SystemAttributes.capabilityName, [1, 2, 3])
            try action()
            #expect(try value(volume, inode, SystemAttributes.capabilityName) == nil)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `another mount's list is believed once it is heard of`(_ kind: StoreKind) throws {
        let harness = try VolumeHarness(store: kind)
        defer { harness.unmount() }
        let (inode, _) = try harness.volume.create("f", mode: 0o644)
        try harness.volume.setAttribute(inode, [UInt8]("user.x".utf8), [1])
        #expect(try value(harness.volume, inode, AccessList.accessName) == nil)
        let other = try harness.secondMount()
        defer { other.unmounted() }
        let list = Self.full(7, 6, 5, 4, 6, 1)
        _ = try other.lookup("f")
        try other.setAttribute(inode, AccessList.accessName, list)
        #expect(
            Polling.wait {
                (try? value(harness.volume, inode, AccessList.accessName)) == list
            }, "the first mount hears of it")
        #expect(try harness.volume.attributes(inode).permissions == 0o761)
    }
}

extension VolumeFileSystem {
    fileprivate func setAttribute(_ inode: InodeID, _ name: [UInt8], _ value: [UInt8]) throws {
        try name.withUnsafeBytes { name in
            try value.withUnsafeBytes { value in
                try setxattr(
                    Self.someone, inode: inode, name: FileName(name), value: value,
                    mode: .createOrReplace)
            }
        }
    }

    fileprivate func readAttribute(_ inode: InodeID, _ name: [UInt8]) throws(Errno) -> [UInt8] {
        let result: Result<[UInt8], Errno> = name.withUnsafeBytes { name in
            do throws(Errno) {
                return .success(
                    try getxattr(Self.someone, inode: inode, name: FileName(name)))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }
}
