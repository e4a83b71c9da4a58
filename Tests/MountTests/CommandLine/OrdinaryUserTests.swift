import TestSupport
import Testing

extension MountTests {
    /// Mounting by a user who is not root, is in no special group and has no capability: by fusermount3.
    @Suite struct OrdinaryUserTests {
        /// A mount namespace of its own in which everybody may open /dev/fuse, as on an ordinary machine, and
        /// `nobody COMMAND...` (fusermount3 wants a user with a name). What is still mounted at the end goes.
        private static let prelude = """
            set -eu
            mount -t tmpfs -o mode=755,dev tmpfs "$2/device"
            mknod -m 666 "$2/device/fuse" c 10 229
            mount --bind "$2/device/fuse" /dev/fuse
            nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
            nobody mkdir "$2/mnt" "$2/data"
            trap 'nobody fusermount3 -u -z -q "$2/mnt" || true' EXIT
            refused() { if "$@" 2>&1; then echo "not refused: $*"; exit 9; fi; }
            cd "$2"

            """

        @Test(arguments: ["", "file:store", "memory:"])
        func `a user mounts on a directory of theirs, writes, reads and unmounts`(
            source: String
        ) throws {
            let run = try inNamespace(
                """
                nobody "$1" mount \(source) mnt --pid-file data/pid
                nobody sh -c 'echo text > mnt/file; mkdir mnt/sub; mv mnt/file mnt/sub'
                nobody ls -ln mnt/sub/file
                nobody dd if=/dev/zero of=mnt/large bs=1M count=3 conv=fsync status=none
                nobody "$1" status mnt > status
                # That of a process whose memory its own user may not read either (PR_SET_DUMPABLE).
                [ "$(stat -c %u "/proc/$(cat data/pid)/mem")" = 0 ]
                refused ls mnt
                nobody fusermount3 -u mnt
                [ -z "$(ls mnt)" ]
                nobody "$1" mount \(source) mnt
                nobody find mnt -type f -printf '%P %s %U\\n' | sort
                nobody "$1" umount mnt
                [ -z "$(ls mnt)" ]
                """)
            #expect(run.output.contains(" 65534 65534 5 "))
            #expect(run.output.contains("Permission denied"), "root is not let in")
            let isKept = source != "memory:"
            #expect(run.output.contains("large 3145728 65534\nsub/file 5 65534\n") == isKept)
        }

        @Test func `a user may not mount where they may not write, nor let others in`() throws {
            let run = try inNamespace(
                """
                mkdir root
                for place in /usr root; do
                    refused nobody "$1" mount memory: $place
                    refused mountpoint -q $place
                done
                if ! grep -qx user_allow_other /etc/fuse.conf; then
                    refused nobody "$1" mount memory: mnt --allow-other
                    refused mountpoint -q mnt
                fi
                nobody "$1" mount memory: mnt
                nobody sh -c 'echo text > mnt/file; cp /bin/true mnt/true; chmod 4755 mnt/true'
                grep " $2/mnt fuse.apusfs " /proc/self/mounts
                refused nobody mknod mnt/device c 1 3
                refused nobody chown 0 mnt/file
                """)
            #expect(run.output.contains("/usr: not empty"))
            #expect(run.output.contains(" fuse.apusfs rw,nosuid,nodev,"))
            #expect(run.output.contains("user_id=65534"))
        }

        @Test func `a dead mount of a user is recovered by mounting again`() throws {
            let run = try inNamespace(
                """
                nobody "$1" mount file:store mnt --pid-file pid
                nobody sh -c 'echo text > mnt/file'
                kill -9 $(cat pid)
                while [ -d /proc/$(cat pid)/task ] && ! grep -q '^State:.Z' /proc/$(cat pid)/status
                do :; done
                refused nobody cat mnt/file
                nobody "$1" mount file:store mnt --pid-file pid
                nobody cat mnt/file
                nobody "$1" umount mnt
                """)
            #expect(run.output.hasSuffix("\ntext\n"))
        }

        private func inNamespace(_ script: String) throws -> ProgramRun {
            let files = try TemporaryDirectory()
            try SystemCall.chmod(files.path, 0o777)
            try SystemCall.mkdir(files.path + "/device")
            let program = files.path + "/apusfs"
            try ProgramRun.run(["cp", Program.path, program]).checked()
            return try ProgramRun.run(
                MountNamespace.words(Self.prelude + script, [program, files.path]),
                environment: ["XDG_DATA_HOME": files.path + "/data", "HOME": files.path]
            ).checked()
        }
    }
}
