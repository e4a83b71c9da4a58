import TestSupport

/// Something of everything that programs do with files, on two mounts of one volume: alone on it, and at the
/// same time. Written in python, whose process can hold locks against another one.
enum BroadWorkload {
    /// Fails when any step does, or another mount sees something else.
    static func run(_ one: String, _ other: String) throws {
        try ProgramRun.run(["python3", "-c", script, one, other]).checked()
        try ProgramRun.run(["sh", "-euc", acls, "sh", one]).checked()
    }

    private static let acls = """
        touch "$1/listed"; setfacl -m u:60001:rw "$1/listed"; getfacl "$1/listed" > /dev/null
        setfacl -d -m u:60002:rx "$1"; mkdir "$1/heir"; setfacl -b -k "$1"
        fallocate -l 1M "$1/room"; fallocate -p -o 4096 -l 300000 "$1/room"
        fallocate -z -o 0 -l 8192 "$1/room"; df "$1" > /dev/null; rm -r "$1/heir"
        """

    private static let script = #"""
        import fcntl, os, subprocess, sys, time
        one, other = sys.argv[1:]

        def within(path, name): return os.path.join(path, name)
        def store(path, data, at=0):
            file = os.open(path, os.O_RDWR | os.O_CREAT)
            os.pwrite(file, data, at); os.fsync(file); os.close(file)
        def load(path):
            with open(path, "rb") as file: return file.read()
        def eventually(holds):
            end = time.monotonic() + 30
            while not holds():
                if time.monotonic() > end: raise SystemExit("the other mount does not see it")
                time.sleep(0.01)

        random, text = os.urandom(700_000), b"words that pack well " * 40_000
        for directory in "a", "a/b": os.mkdir(within(one, directory))
        for name, data in ("random", random), ("a/text", text), ("a/b/small", b"x"):
            store(within(one, name), data)
            assert load(within(other, name)) == data
        # Parts of raw and of packed blocks, by a mount that does not know what else is in them.
        for at in 5, 200_000, 699_999:
            store(within(other, "random"), b"PATCH", at)
            store(within(other, "a/text"), b"PATCH", at)
        assert load(within(one, "random"))[200_000:200_005] == b"PATCH"
        assert load(within(one, "a/text"))[200_000:200_005] == b"PATCH"
        with open(within(other, "random"), "ab") as file: file.write(b"appended")
        store(within(one, "far"), b"sparse", 1 << 40)
        store(within(one, "far"), b"sparse", 1 << 42)
        file = os.open(within(one, "far"), os.O_RDWR)
        assert os.lseek(file, 0, os.SEEK_DATA) > 0
        os.close(file)

        source, target = os.open(within(one, "random"), os.O_RDONLY), os.open(
            within(one, "copy"), os.O_RDWR | os.O_CREAT)
        assert os.copy_file_range(source, target, 650_000, 0, 0) == 650_000
        os.fsync(target); os.close(source); os.close(target)
        assert load(within(other, "copy")) == load(within(one, "random"))[:650_000]

        os.link(within(one, "random"), within(one, "a/link"))
        os.symlink("a/text", within(one, "pointer"))
        assert load(within(other, "pointer")) == load(within(one, "a/text"))
        os.mkfifo(within(one, "fifo"))
        os.rename(within(one, "a/link"), within(one, "a/b/small"))
        os.rename(within(other, "a/b"), within(other, "b"))
        assert sorted(os.listdir(within(one, "b"))) == ["small"]
        os.setxattr(within(one, "b"), "user.colour", b"red" * 1000)
        def coloured():
            try: return os.getxattr(within(other, "b"), "user.colour") == b"red" * 1000
            except OSError: return False
        eventually(coloured)
        os.removexattr(within(other, "b"), "user.colour")
        os.chmod(within(one, "a/text"), 0o640); os.chown(within(one, "a/text"), 60001, 60002)
        os.utime(within(one, "a/text"), (1, 2))
        for path, size in ("random", 300_001), ("a/text", 0), ("copy", 10), ("copy", 500_000):
            os.truncate(within(one, path), size)
            store(within(other, path), b"behind the cut", 400_000)
        assert load(within(one, "copy"))[10:400_000] == bytes(399_990)

        for lock in "fcntl.flock(f, fcntl.LOCK_EX)", "fcntl.lockf(f, fcntl.LOCK_EX, 10, 0)":
            file = open(within(one, "locked"), "w+")
            fcntl.flock(file, fcntl.LOCK_EX); fcntl.lockf(file, fcntl.LOCK_EX, 20, 5)
            waiting = subprocess.Popen([sys.executable, "-c",
                f"import fcntl, sys; f = open(sys.argv[1], 'r+'); print(1, flush=True); {lock}",
                within(other, "locked")], stdout=subprocess.PIPE)
            assert waiting.stdout.readline() == b"1\n"
            time.sleep(0.2)
            assert waiting.poll() is None
            file.close()
            assert waiting.wait(30) == 0

        held = open(within(one, "held"), "w+"); held.write("still here"); held.flush()
        os.fsync(held.fileno())
        os.unlink(within(other, "held"))
        held.seek(0); assert held.read() == "still here"
        held.close()
        assert os.statvfs(one).f_blocks > 0
        os.unlink(within(one, "far")); os.unlink(within(one, "copy"))
        os.unlink(within(one, "b/small")); os.rmdir(within(one, "b"))
        eventually(lambda: not os.path.exists(within(other, "b")))
        """#
}
