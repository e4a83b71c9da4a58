import Glibc
import TestSupport
import Testing

extension MountTests {
    /// Layered trees, as containers have them: a mount as every layer of an overlay filesystem.
    @Suite struct OverlayTests {
        @Test func `an overlay over a mount is written, and keeps its layers apart`() throws {
            try withMount { mount in
                let script = """
                    cd "$1"; mkdir lower upper work merged; chmod 755 .
                    echo one > lower/one; echo two > lower/two; mkdir lower/d; echo x > lower/d/x
                    mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged
                    trap 'umount merged' EXIT
                    echo changed >> merged/one
                    rm merged/two
                    mv merged/d/x merged/d/y
                    mkdir merged/new; echo n > merged/new/file
                    chmod 600 merged/one; setfattr -n user.note -v 1 merged/one
                    rm -r merged/d
                    ls merged; cat merged/one merged/new/file
                    """
                let run = try ProgramRun.run(["bash", "-ec", script, "bash", mount.path]).checked()
                #expect(run.output == "new\none\none\nchanged\nn\n")
                #expect(try SystemCall.readFile(mount.path + "/lower/one") == Array("one\n".utf8))
                #expect(try SystemCall.lstat(mount.path + "/upper/two").kind == S_IFCHR)
                try mount.remount()
                #expect(try SystemCall.lstat(mount.path + "/upper/d").kind == S_IFCHR)
                #expect(
                    try SystemCall.readFile(mount.path + "/upper/one")
                        == Array("one\nchanged\n".utf8))
            }
        }

        @Test func `what an overlay copies keeps setuid and capabilities until it is changed`()
            throws
        {
            try withMount { mount in
                let script = """
                    cd "$1"; mkdir lower upper work merged; chmod 755 .
                    for name in root other capable; do echo program > lower/$name; done
                    chown 5:6 lower/other lower/capable
                    chmod 4755 lower/root; chmod 6755 lower/other
                    setcap cap_net_raw=ep lower/capable
                    mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged
                    trap 'umount merged' EXIT
                    show() { stat -c '%a %u:%g' merged/root merged/other; getcap merged/capable; }
                    touch merged/root merged/other merged/capable; show
                    chown 0:0 merged/root merged/other merged/capable; show
                    """
                let run = try ProgramRun.run(["bash", "-ec", script, "bash", mount.path]).checked()
                #expect(
                    run.output == "4755 0:0\n6755 5:6\nmerged/capable cap_net_raw=ep\n"
                        + "755 0:0\n755 0:0\n")
            }
        }

        @Test func `an overlay goes on when the kernel has forgotten what a file was copied from`()
            throws
        {
            try withMount { mount in
                let script = """
                    cd "$1"; mkdir lower upper work merged; chmod 755 .
                    echo one > lower/one; mkdir lower/d; echo x > lower/d/x; ln lower/d/x lower/y
                    options=lowerdir=lower,upperdir=upper,workdir=work
                    mount -t overlay overlay -o "$options" merged
                    trap 'umount merged' EXIT
                    mkdir merged/new
                    echo two >> merged/one; mv merged/one merged/new; chown 1 merged/d merged/d/x
                    umount merged
                    mount -o remount -i "$1"
                    mount -t overlay overlay -o "$options" merged
                    for i in 1 2 3; do cat merged/new/one merged/d/x merged/y; done
                    echo three >> merged/new/one; rm merged/d/x; ls merged/d merged/new
                    cat merged/new/one
                    """
                let run = try ProgramRun.run(["bash", "-ec", script, "bash", mount.path]).checked()
                let once = "one\ntwo\nx\nx\n"
                #expect(
                    run.output == once + once + once
                        + "merged/d:\n\nmerged/new:\none\none\ntwo\nthree\n")
            }
        }
    }
}
