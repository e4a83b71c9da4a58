import FileSystem
import Primitives
import TestSupport
import Testing
import VolumeFS

/// The round trips that docs/DESIGN.md, section 5, allows each operation, counted exactly. They do not
/// depend on the machine.
@Suite struct BudgetTests {
    /// Background threads make trips of their own; a budget is what an operation adds.
    private func quietOptions() -> VolumeOptions {
        var options = VolumeOptions()
        options.flushIntervalMilliseconds = 3_600_000
        options.accessTimes = .noatime
        return options
    }

    @Test(arguments: StoreKind.allCases)
    func `namespace operations cost one round trip each`(_ kind: StoreKind) throws {
        let harness = try VolumeHarness(store: kind, options: quietOptions())
        defer { harness.unmount() }
        let volume = harness.volume
        // The first id of a range is fetched with the range.
        _ = try volume.mkdir("warm")
        let (inode, handle) = try volume.create("warm-file")
        try volume.close(inode, handle)

        var made = InodeID(0)
        #expect(try harness.trips { made = try volume.mkdir("d") } == 1, "\(harness.lastCalls)")
        var file: (InodeID, HandleID)?
        #expect(try harness.trips { file = try volume.create("f") } == 1, "\(harness.lastCalls)")
        let opened = try #require(file)
        #expect(
            try harness.trips { try volume.close(opened.0, opened.1) } == 0, "\(harness.lastCalls)")
        #expect(try harness.trips { try volume.link(opened.0, "f2") } == 1, "\(harness.lastCalls)")
        #expect(
            try harness.trips { _ = try volume.symlink("target", "s") } == 1, "\(harness.lastCalls)"
        )
        #expect(try harness.trips { try volume.rename("f", to: "g") } == 1, "\(harness.lastCalls)")
        #expect(
            try harness.trips { try volume.rename("g", to: "g", into: made) } == 1,
            "\(harness.lastCalls)")
        #expect(try harness.trips { try volume.unlink("f2") } == 1, "\(harness.lastCalls)")
        #expect(try harness.trips { try volume.unlink("g", in: made) } == 1, "\(harness.lastCalls)")
        #expect(try harness.trips { try volume.rmdir("d") } == 1, "\(harness.lastCalls)")
    }

    @Test(arguments: StoreKind.allCases)
    func `a small file costs two round trips to make and one to read`(_ kind: StoreKind) throws {
        let harness = try VolumeHarness(store: kind, options: quietOptions())
        defer { harness.unmount() }
        _ = try harness.volume.mkdir("warm")
        let bytes = [UInt8](repeating: 7, count: 4_096)
        var inode = InodeID(0)
        #expect(
            try harness.trips {
                let (made, handle) = try harness.volume.create("file")
                inode = made
                try harness.volume.write(bytes, to: made, handle, at: 0)
                try harness.volume.close(made, handle)
            } == 2, "\(harness.lastCalls)")

        try harness.remount()
        #expect(
            try harness.trips { _ = try harness.volume.lookup("file") } == 1, "\(harness.lastCalls)"
        )
        var handle = HandleID(0)
        #expect(
            try harness.trips { handle = try harness.volume.open(inode, .read) } <= 1,
            "\(harness.lastCalls)")
        var found: [UInt8] = []
        let cold = try harness.trips {
            found = try harness.volume.read(inode, handle, at: 0, count: 4_096)
        }
        #expect(cold == 1)
        #expect(found == bytes)
        let warm = try harness.trips {
            found = try harness.volume.read(inode, handle, at: 0, count: 4_096)
            _ = try harness.volume.lookup("file")
            _ = try harness.volume.attributes(inode)
        }
        #expect(warm == 0)
        #expect(found == bytes)
        #expect(
            try harness.trips { try harness.volume.close(inode, handle) } == 0,
            "\(harness.lastCalls)")
    }

    @Test(arguments: StoreKind.allCases)
    func `changing attributes costs one round trip, whatever becomes of the size`(
        _ kind: StoreKind
    ) throws {
        let harness = try VolumeHarness(store: kind, options: quietOptions())
        defer { harness.unmount() }
        let (inode, handle) = try harness.volume.create("file")
        try harness.volume.write(
            [UInt8](repeating: 7, count: 1_000_000), to: inode, handle, at: 0)
        try harness.volume.fsync(inode, handle)
        for size in [700_001, 2_000_000, 500_000, 499_999, 1, 0, 10] as [UInt64] {
            // A tail that is still to be cleared is cleared before the file grows.
            try harness.awaitClearTail(inode)
            #expect(
                try harness.trips { try harness.volume.truncate(inode, to: size) } == 1,
                "\(size): \(harness.lastCalls)")
        }
        try harness.volume.close(inode, handle)
    }

    @Test(arguments: StoreKind.allCases)
    func `fsync is one pipelined trip, and so is an uncached read of 1 MiB`(_ kind: StoreKind)
        throws
    {
        let harness = try VolumeHarness(store: kind, options: quietOptions())
        defer { harness.unmount() }
        var random = SeededRandom(seed: 1)
        let (inode, handle) = try harness.volume.create("file")
        let first = random.content(count: 100_000)
        try harness.volume.write(first, to: inode, handle, at: 0)
        #expect(
            try harness.trips { try harness.volume.fsync(inode, handle) } == 1,
            "\(harness.lastCalls)")
        #expect(
            try harness.trips { try harness.volume.fsync(inode, handle) } == 0,
            "\(harness.lastCalls)")

        let large = random.content(count: 1 << 20)
        try harness.volume.write(large, to: inode, handle, at: 0)
        // One trip more may raise the bound of stored blocks first.
        #expect(
            try harness.trips { try harness.volume.fsync(inode, handle) } <= 2,
            "\(harness.lastCalls)")
        try harness.volume.write(large, to: inode, handle, at: 0)
        #expect(
            try harness.trips { try harness.volume.fsync(inode, handle) } == 1,
            "\(harness.lastCalls)")
        try harness.volume.close(inode, handle)

        try harness.remount()
        let again = try harness.volume.open(try harness.volume.lookup("file").inode, .read)
        var found: [UInt8] = []
        let cold = try harness.trips {
            found = try harness.volume.read(inode, again, at: 0, count: 1 << 20)
        }
        #expect(cold == 1)
        #expect(found == large)
    }

    @Test(arguments: StoreKind.allCases)
    func `a listing with attributes costs a trip for each thousand entries`(_ kind: StoreKind)
        throws
    {
        let harness = try VolumeHarness(store: kind, options: quietOptions())
        defer { harness.unmount() }
        let count = 2_500
        for index in 0..<count {
            let (inode, handle) = try harness.volume.create("file\(index)")
            try harness.volume.close(inode, handle)
        }
        try harness.remount()
        var names: [String] = []
        let trips = try harness.trips { names = try harness.volume.list() }
        #expect(names.count == count)
        #expect(Set(names).count == count)
        #expect(trips <= UInt64((count + 999) / 1_000) + 1, "\(harness.lastCalls)")
        // The listing brought the attributes along.
        #expect(
            try harness.trips { _ = try harness.volume.lookup("file77") } == 0,
            "\(harness.lastCalls)")
        // Again, and it costs nothing, until something changes.
        #expect(
            try harness.trips { names = try harness.volume.list() } == 0, "\(harness.lastCalls)")
        #expect(Set(names).count == count)
        let (inode, handle) = try harness.volume.create("another")
        try harness.volume.close(inode, handle)
        names = try harness.volume.list()
        #expect(Set(names).count == count + 1)
        try harness.volume.unlink("file5")
        names = try harness.volume.list()
        #expect(Set(names).count == count && !names.contains("file5"))
    }

    @Test(arguments: StoreKind.allCases, [true, false])
    func `the next part of a large directory comes while one is delivered`(
        _ kind: StoreKind, withAttributes: Bool
    ) throws {
        let harness = try VolumeHarness(store: kind, options: quietOptions())
        defer { harness.unmount() }
        let count = 5_000
        for index in 0..<count { _ = try harness.volume.mkdir("directory\(index)") }
        try harness.remount()
        let volume = harness.volume
        let caller = VolumeFileSystem.someone
        let handle = try volume.opendir(caller, inode: .root).handle
        defer { volume.releasedir(caller, inode: .root, handle: handle) }
        var (cookie, delivered): (UInt64, Int) = (0, 0)
        func read(atMost limit: Int) throws {
            let end = delivered + limit
            try volume.readdir(
                caller, inode: .root, handle: handle, cookie: cookie,
                withAttributes: withAttributes
            ) { entry in
                guard delivered < end else { return .full }
                (cookie, delivered) = (entry.cookie, delivered + 1)
                return .taken
            }
        }
        // One call gets what it needs, and the rest of the first page, or the next one, comes by itself.
        let needed: UInt64 = withAttributes ? 2 : 1
        let trips = try harness.trips {
            try read(atMost: 10)
            #expect(Polling.wait { harness.keyValue.measuredTrips > needed })
        }
        #expect(trips == needed + 1, "\(harness.lastCalls)")
        // Who begins anew sees what is there then, not what was asked for before.
        _ = try volume.mkdir("zz")
        (cookie, delivered) = (0, 0)
        while true {
            let seen = delivered
            try read(atMost: 300)
            if delivered == seen { break }
        }
        #expect(delivered == count + 1 + 2)
    }

    @Test func `a listing goes on when what is fetched ahead does not come`() throws {
        let harness = try VolumeHarness(store: .memory, options: quietOptions())
        defer { harness.unmount() }
        let count = 2_500
        for index in 0..<count { _ = try harness.volume.mkdir("directory\(index)") }
        try harness.remount()
        var names: [String] = []
        try harness.keyValue.holding("listing-0") {
            try harness.keyValue.holding("listing-1") { names = try harness.volume.list() }
        }
        #expect(Set(names).count == count && names.count == count)
    }

    @Test(arguments: StoreKind.allCases)
    func `a listing of a small directory costs one trip, with attributes or without`(
        _ kind: StoreKind
    ) throws {
        let harness = try VolumeHarness(store: kind, options: quietOptions())
        defer { harness.unmount() }
        let directory = try harness.volume.mkdir("d")
        for index in 0..<20 { _ = try harness.volume.mkdir("x\(index)", in: directory) }
        for withAttributes in [true, false] {
            try harness.remount()
            _ = try harness.volume.lookup("d")
            var names: [String] = []
            let trips = try harness.trips {
                names = try harness.volume.list(directory, withAttributes: withAttributes)
            }
            #expect(names.count == 20)
            #expect(trips == 1, "\(harness.lastCalls)")
            #expect(
                try harness.trips { _ = try harness.volume.lookup("x3", in: directory) }
                    == (withAttributes ? 0 : 1), "\(harness.lastCalls)")
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `setattr and a truncation to zero cost one round trip`(_ kind: StoreKind) throws {
        let harness = try VolumeHarness(store: kind, options: quietOptions())
        defer { harness.unmount() }
        let (inode, handle) = try harness.volume.create("file")
        try harness.volume.write([UInt8](repeating: 1, count: 300_000), to: inode, handle, at: 0)
        try harness.volume.fsync(inode, handle)
        var changes = AttributeChanges()
        changes.permissions = 0o600
        #expect(
            try harness.trips {
                _ = try harness.volume.setattr(
                    harness.caller, inode: inode, changes: changes, handle: nil)
            } == 1, "\(harness.lastCalls)")
        #expect(
            try harness.trips { try harness.volume.truncate(inode, to: 0) } == 1,
            "\(harness.lastCalls)")
        #expect(
            try harness.trips { try harness.volume.truncate(inode, to: 10_000) } == 1,
            "\(harness.lastCalls)")
        try harness.volume.close(inode, handle)
    }

    @Test(arguments: StoreKind.allCases)
    func `a name that a directory of ours does not have costs no trip`(_ kind: StoreKind) throws {
        let harness = try VolumeHarness(store: kind, options: quietOptions())
        defer { harness.unmount() }
        let volume = harness.volume
        let directory = try volume.mkdir("d")
        let missing = harness.trips {
            #expect(throws: Errno.noEntry) { try volume.lookup("x", in: directory) }
        }
        #expect(missing == 0, "\(harness.lastCalls)")
        let (inode, handle) = try volume.create("x", in: directory)
        try volume.close(inode, handle)
        #expect(try volume.lookup("x", in: directory).inode == inode)
        try volume.rename("x", in: directory, to: "y", into: directory)
        #expect(try volume.lookup("y", in: directory).inode == inode)
        #expect(throws: Errno.noEntry) { try volume.lookup("x", in: directory) }
    }

    @Test func `what another mount makes in a directory of ours is found`() throws {
        let harness = try VolumeHarness(store: .redis, options: quietOptions())
        defer { harness.unmount() }
        let directory = try harness.volume.mkdir("d")
        #expect(throws: Errno.noEntry) { try harness.volume.lookup("x", in: directory) }
        let second = try harness.secondMount()
        defer { second.unmounted() }
        let (inode, handle) = try second.create("x", in: directory)
        try second.close(inode, handle)
        #expect(try harness.volume.lookup("x", in: directory).inode == inode)
    }
}
