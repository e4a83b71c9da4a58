import Foundation
import Primitives
import TestSupport
import Testing

extension MountTests {
    @Suite struct MountCommandTests {
        @Test(arguments: Store.Kind.allCases)
        func `each kind of source mounts, keeps files and unmounts`(kind: Store.Kind) throws {
            try withMount(store: kind) { mount in
                let bytes = Bytes.pattern(400_000, seed: 1)
                try SystemCall.mkdir(mount.path + "/directory")
                try SystemCall.writeFile(mount.path + "/directory/file", bytes)
                #expect(try SystemCall.readFile(mount.path + "/directory/file") == bytes)
                try mount.remount()
                if kind == .memory {
                    #expect(try Listing.names(mount.path) == [".", ".."])
                } else {
                    #expect(try SystemCall.readFile(mount.path + "/directory/file") == bytes)
                }
            }
        }

        @Test func `over TCP, in a database of its own`() throws {
            let server = try RedisServer(tcp: true)
            let port = try #require(server.port)
            let place = try TemporaryDirectory()
            let source = "redis://127.0.0.1:\(port)/5"
            try Program.run(["format", source]).checked()
            try Program.run(["mount", source, place.path]).checked()
            defer { _ = try? Program.run(["umount", "--lazy", "--force", place.path]) }
            let bytes = Bytes.pattern(3_000_000, seed: 1)
            try SystemCall.writeFile(place.path + "/file", bytes)
            try Program.run(["umount", place.path]).checked()
            try Program.run(["mount", source, place.path]).checked()
            #expect(try SystemCall.readFile(place.path + "/file") == bytes)
            try Program.run(["umount", place.path]).checked()
            #expect(try server.keys() == [], "database 0 stays empty")
            #expect(try server.cli("-n", "5", "EXISTS", "{apusfs}") == "1")
        }

        @Test func `options behind -o mean what fstab writes`() throws {
            try withMount(
                store: .memory,
                flags: [
                    "-o",
                    "rw,_netdev,nofail,noatime,cache_size=16M,x-systemd.automount,fsname=mine",
                ]
            ) { mount in
                let line = try mountsLine(mount.path)
                #expect(line.hasPrefix("mine "))
                #expect(line.contains(" fuse.apusfs rw"))
                try SystemCall.writeFile(mount.path + "/file", "text")
                try SystemCall.setTimes(mount.path + "/file", access: (5, 0), modification: (9, 0))
                _ = try SystemCall.readFile(mount.path + "/file")
                #expect(try SystemCall.stat(mount.path + "/file").accessTime.seconds == 5)
            }
        }

        @Test func `mount(8) finds the helper and passes it what fstab says`() throws {
            let files = try TemporaryDirectory()
            // In a mount namespace of its own, with the helper laid over /sbin; umount there, too.
            let script = """
                set -e
                mkdir "$2/sbin" "$2/mnt"
                ln -s "$1" "$2/sbin/mount.$3"
                mount -t overlay overlay -o "lowerdir=$2/sbin:/usr/sbin" /usr/sbin
                if [ "$3" = apusfs ]; then type=apusfs; else type=fuse.apusfs; fi
                mount -t "$type" memory: "$2/mnt" -o ro,noatime,_netdev,cache-size=16M
                grep " $2/mnt fuse.apusfs" /proc/self/mounts
                umount "$2/mnt"
                """
            for helper in ["apusfs", "fuse.apusfs"] {
                let directory = "\(files.path)/\(helper)"
                try SystemCall.mkdir(directory)
                let words = MountNamespace.words(script, [Program.path, directory, helper])
                let run = try ProgramRun.run(words).checked()
                #expect(run.output.contains("fuse.apusfs ro"))
            }
        }

        @Test func `umount tells which other mount namespace keeps the mount`() throws {
            let files = try TemporaryDirectory()
            let place = files.path + "/mnt"
            let pidFile = files.path + "/pid"
            try SystemCall.mkdir(place)
            try Program.run(
                ["mount", "file:\(files.path)/store", place, "--pid-file", pidFile]
            ).checked()
            let daemon = try #require(
                pid_t(String(decoding: SystemCall.readFile(pidFile).dropLast(), as: UTF8.self)))
            let holder = try Talker(
                MountNamespace.words("echo made; read word", [], keeping: place))
            #expect(try holder.line() == "made")
            let kept = try Program.run(["umount", place, "--timeout", "3s"])
            #expect(kept.status != 0)
            #expect(kept.errors.contains("mount namespace of process \(holder.processID) (sh)"))
            #expect(!Mount.isMountPoint(place))
            holder.endInput()
            holder.wait()
            #expect(Polling.wait { !Mount.isRunning(daemon) })
        }

        @Test func `mount(8) remounts: read-only and back, but not what was mounted read-only`()
            throws
        {
            let files = try TemporaryDirectory()
            let script = """
                set -e
                mkdir "$2/sbin" "$2/mnt"
                ln -s "$1" "$2/sbin/mount.fuse.apusfs"
                mount -t overlay overlay -o "lowerdir=$2/sbin:/usr/sbin" /usr/sbin
                mount -t fuse.apusfs memory: "$2/mnt" -o cache-size=16M
                echo text > "$2/mnt/file"
                exec 3> "$2/mnt/open"
                mount -o remount,ro "$2/mnt" 2>&1 || echo "busy: $?"
                exec 3>&-
                mount -o remount,ro "$2/mnt"
                grep " $2/mnt fuse.apusfs ro,nosuid,nodev" /proc/self/mounts
                touch "$2/mnt/new" 2>&1 || cat "$2/mnt/file"
                mount -o remount,rw,noexec "$2/mnt"
                grep " $2/mnt fuse.apusfs rw,nosuid,nodev,noexec" /proc/self/mounts
                echo more >> "$2/mnt/file"
                cat "$2/mnt/file"
                umount "$2/mnt"
                mount -t fuse.apusfs memory: "$2/mnt" -o ro
                mount -o remount,rw "$2/mnt" 2>&1 || echo "refused: $?"
                umount "$2/mnt"
                """
            let run = try ProgramRun.run([
                "unshare", "--mount", "sh", "-c", script, "sh", Program.path, files.path,
            ]).checked()
            let lines = run.output.split(separator: "\n")
            let expected = [
                "cannot be remounted: Device or resource busy", "busy: 32", "fuse.apusfs ro",
                "Read-only file system", "text", "fuse.apusfs rw", "text", "more",
                "was mounted read-only", "refused: 32",
            ]
            for (line, words) in zip(lines, expected) { #expect(line.contains(words)) }
            #expect(lines.count == expected.count, "\(run.output)")
        }

        /// /proc/locks has those that the kernel keeps, and what one mount keeps no other mount sees.
        @Test(arguments: ["none", "flock", "posix", "all"])
        func `locks of the kinds of --local-lock stay on this host`(kinds: String) throws {
            let locks = """
                import fcntl, os, sys
                file = open(sys.argv[1], "r+b")
                fcntl.flock(file, fcntl.LOCK_EX)
                fcntl.lockf(file, fcntl.LOCK_EX)
                ending = ":%d " % os.fstat(file.fileno()).st_ino
                listed = [line.split()[1] for line in open("/proc/locks")
                    if ending in line and int(line.split()[4]) == os.getpid()]
                print(*sorted(listed) or ["nothing"])
                other = open(sys.argv[2], "r+b")
                for call in fcntl.flock, fcntl.lockf:
                    try:
                        call(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        print("taken")
                    except BlockingIOError:
                        print("held")
                """
            let expected =
                [
                    "none": "nothing held held", "flock": "FLOCK taken held",
                    "posix": "POSIX held taken", "all": "FLOCK POSIX taken taken",
                ]
            try withMounts(2, flags: ["--local-lock", kinds]) { volume in
                let files = volume.mounts.map { $0.path + "/file" }
                try SystemCall.writeFile(files[0], "text")
                let run = try ProgramRun.run(["python3", "-c", locks] + files).checked()
                let words = run.output.split(whereSeparator: \.isWhitespace)
                #expect(words.joined(separator: " ") == expected[kinds])
            }
        }

        @Test func `a handle outlives the mount, but is no handle of the next volume`() throws {
            try withMount(store: .redis, flags: ["--nfs-export"]) { mount in
                try SystemCall.mkdir(mount.path + "/directory")
                try SystemCall.writeFile(mount.path + "/directory/file", "text")
                let handle = try Handle(mount.path + "/directory/file")
                let number = try SystemCall.stat(mount.path + "/directory/file").st_ino
                try mount.remount()
                let file = try handle.open(at: mount.path, O_RDONLY)
                #expect(try file.readToEnd() == Array("text".utf8))
                try file.close()
                try mount.unmount()
                try Program.run([
                    "format", mount.store.source, "--volume", Mount.volume, "--force",
                ]).checked()
                try mount.mount()
                try SystemCall.mkdir(mount.path + "/directory")
                try SystemCall.writeFile(mount.path + "/directory/file", "other")
                #expect(try SystemCall.stat(mount.path + "/directory/file").st_ino == number)
                for _ in 0..<2 {
                    #expect(throws: Errno.stale) { try handle.open(at: mount.path, O_RDONLY) }
                    try mount.dropCaches()
                }
            }
        }

        @Test func `in the foreground it ends with a signal, unmounted, with status 0`() throws {
            let files = try TemporaryDirectory()
            let script = """
                "$1" mount "file:$2/store" "$2/mnt" --foreground & process=$!
                until mountpoint -q "$2/mnt"; do kill -0 $process || exit 9; done
                echo text > "$2/mnt/file"
                kill -TERM $process
                wait $process
                status=$?
                mountpoint -q "$2/mnt" && exit 8
                exit $status
                """
            try SystemCall.mkdir(files.path + "/mnt")
            try ProgramRun.run(["bash", "-c", script, "bash", Program.path, files.path]).checked()
            try ProgramRun.run([
                Program.path, "mount", "file:\(files.path)/store", files.path + "/mnt",
            ]).checked()
            defer { _ = try? Program.run(["umount", "--lazy", "--force", files.path + "/mnt"]) }
            #expect(try SystemCall.readFile(files.path + "/mnt/file") == Array("text\n".utf8))
            try Program.run(["umount", files.path + "/mnt"]).checked()
        }

        @Test func `umount(8) and fusermount3 store everything, too`() throws {
            try withMount { mount in
                for (index, words) in [["umount"], ["fusermount3", "-u"]].enumerated() {
                    let daemon = try #require(mount.daemon)
                    let bytes = Bytes.pattern(2_000_000, seed: UInt64(index))
                    try SystemCall.writeFile(mount.path + "/file", bytes)
                    try ProgramRun.run(words + [mount.path]).checked()
                    #expect(Polling.wait(limitSeconds: 30) { !Mount.isRunning(daemon) })
                    try mount.mount()
                    #expect(try SystemCall.readFile(mount.path + "/file") == bytes)
                }
            }
        }

        @Test func `status lists the mount, and version names the allocator`() throws {
            try withMount(store: .file) { mount in
                let list = try Program.run(["status", "--json"]).checked().output
                _ = try JSONSerialization.jsonObject(with: Data(list.utf8))
                #expect(list.contains(mount.path))
                let report = try Program.run(["status", mount.path]).checked().output
                #expect(report.contains(mount.path))
                #expect(report.contains("124 KiB"))
            }
            #expect(
                try Program.run(["version"]).checked().output.contains("allocator: jemalloc 5."))
            #expect(try Program.run(["--version"]).checked().output.hasPrefix("apusfs "))
        }

        private func mountsLine(_ path: String) throws -> Substring {
            let mounts = String(
                decoding: try SystemCall.readFile("/proc/self/mounts"), as: UTF8.self)
            return try #require(mounts.split(separator: "\n").first { $0.contains(" \(path) ") })
        }
    }
}
