import CLinux
import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests.SystemCallTests {
    /// name_to_handle_at(2) and open_by_handle_at(2), which NFS servers and backup programs use.
    @Suite(.mounted("--allow-other", "--nfs-export"))
    struct HandleTests {
        let place: Place
        let mount: Mount

        init() throws {
            mount = Mount.current
            place = try mount.makePlace()
        }

        @Test func `a handle opens its file after the kernel has forgotten it`() throws {
            try SystemCall.mkdir(place["a"])
            try SystemCall.writeFile(place["a/file"], "text")
            let handle = try Handle(place["a/file"])
            for _ in 0..<3 {
                try mount.dropCaches()
                let file = try handle.open(at: mount.path, O_RDWR)
                #expect(try file.readToEnd() == Array("text".utf8))
                #expect(try file.status().st_ino == SystemCall.stat(place["a/file"]).st_ino)
            }
            try handle.open(at: mount.path, O_WRONLY).write("more".utf8, at: 4)
            #expect(try SystemCall.readFile(place["a/file"]) == Array("textmore".utf8))
        }

        @Test func `a handle of a directory finds its way to the root`() throws {
            try SystemCall.mkdir(place["a"])
            try SystemCall.mkdir(place["a/b"])
            try SystemCall.mkdir(place["a/b/c"])
            try SystemCall.writeFile(place["a/b/c/file"], "text")
            let (handle, root) = (try Handle(place["a/b/c"]), try Handle(mount.path))
            try mount.dropCaches()
            let directory = try handle.open(at: mount.path, O_RDONLY | O_DIRECTORY)
            #expect(try SystemCall.readlink(directory.procPath) == place["a/b/c"])
            #expect(
                try SystemCall.readFile(directory.procPath + "/../c/file") == Array("text".utf8))
            // Renamed elsewhere while the kernel does not know it.
            try mount.dropCaches()
            try SystemCall.rename(place["a/b"], place["moved"])
            let moved = try handle.open(at: mount.path, O_RDONLY | O_DIRECTORY)
            #expect(try SystemCall.readlink(moved.procPath) == place["moved/c"])
            let top = try root.open(at: mount.path, O_RDONLY | O_DIRECTORY)
            #expect(try top.status().st_ino == SystemCall.stat(mount.path).st_ino)
        }

        @Test func `a handle of what is gone is ESTALE`() throws {
            try SystemCall.writeFile(place["file"], "text")
            try SystemCall.mkdir(place["directory"])
            let handles = [try Handle(place["file"]), try Handle(place["directory"])]
            try SystemCall.unlink(place["file"])
            try SystemCall.rmdir(place["directory"])
            for attempt in 0..<2 {
                for handle in handles {
                    #expect(throws: Errno.stale, "\(attempt)") {
                        try handle.open(at: mount.path, O_RDONLY)
                    }
                }
                for index in 0..<20 { try SystemCall.writeFile(place["new\(index)"], "other") }
                try mount.dropCaches()
            }
        }

        @Test func `a handle opens what was renamed over its name, linked or still open`() throws {
            try SystemCall.writeFile(place["one"], "one")
            try SystemCall.writeFile(place["two"], "two")
            let (one, two) = (try Handle(place["one"]), try Handle(place["two"]))
            try SystemCall.link(place["one"], place["link"])
            try SystemCall.rename(place["two"], place["one"])
            try mount.dropCaches()
            #expect(try one.open(at: mount.path, O_RDONLY).readToEnd() == Array("one".utf8))
            let open = try two.open(at: mount.path, O_RDONLY)
            #expect(try open.readToEnd() == Array("two".utf8))
            try SystemCall.unlink(place["one"])
            try mount.dropCaches()
            #expect(try two.open(at: mount.path, O_RDONLY).readToEnd() == Array("two".utf8))
            try open.close()
            // close(2) does not wait for the daemon to give the inode up.
            let isGone = Polling.wait {
                do throws(Errno) {
                    try two.open(at: mount.path, O_RDONLY).close()
                    return false
                } catch { return error == .stale }
            }
            #expect(isGone)
        }

        @Test func `only who may search every directory opens by handle`() throws {
            try SystemCall.writeFile(place["file"], "text")
            let handle = try Handle(place["file"])
            try Person.alice.run {
                #expect(throws: Errno.notPermitted) { try handle.open(at: mount.path, O_RDONLY) }
            }
        }
    }
}
