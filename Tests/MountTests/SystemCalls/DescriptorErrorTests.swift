import CLinux
import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests.SystemCallTests {
    /// What calls say of a descriptor that is not open, or not open for that.
    @Suite struct DescriptorErrorTests {
        let place: Place

        init() throws {
            place = try Mount.current.makePlace()
            try SystemCall.writeFile(place["file"], "text")
        }

        /// A call with a descriptor, and what it makes of it: 0 or errno.
        private struct Call: Sendable {
            let name: String
            let run: @Sendable (Int32) -> Int32

            /// A call that returns -1 and sets errno.
            init(_ name: String, _ run: @escaping @Sendable (Int32) -> Int32) {
                self.name = name
                self.run = { run($0) < 0 ? errno : 0 }
            }

            /// A function of CLinux that returns an errno.
            init(answering name: String, _ run: @escaping @Sendable (Int32) -> Int32) {
                self.name = name
                self.run = run
            }
        }

        private static let everyCall: [Call] = reading + writing + plain + relative

        /// Those that need a descriptor that is open for reading.
        private static let reading: [Call] = [
            Call("read") { descriptor in
                var bytes: [UInt8] = [0]
                return Int32(read(descriptor, &bytes, 1))
            },
            Call("pread") { descriptor in
                var bytes: [UInt8] = [0]
                return Int32(pread(descriptor, &bytes, 1, 0))
            },
            Call("F_RDLCK") { lock($0, F_RDLCK) },
        ]

        /// Those that need a descriptor that is open for writing.
        private static let writing: [Call] = [
            Call("write") { Int32(write($0, "x", 1)) },
            Call("pwrite") { Int32(pwrite($0, "x", 1, 0)) },
            Call("F_WRLCK") { lock($0, F_WRLCK) },
            Call(answering: "fallocate") { apusfs_fallocate($0, 0, 0, 1) },
        ]

        private static let plain: [Call] = [
            Call("fstat") { descriptor in
                var status = FileStatus()
                return fstat(descriptor, &status)
            },
            Call("lseek") { Int32(lseek($0, 0, SEEK_SET)) },
            Call(answering: "SEEK_DATA") { Int32(-min(0, apusfs_seek_data($0, 0))) },
            Call(answering: "copy_file_range") {
                Int32(-min(0, apusfs_copy_file_range($0, 0, $0, 1, 1)))
            },
            Call("ftruncate") { ftruncate($0, 0) },
            Call("fsync") { fsync($0) },
            Call("fdatasync") { fdatasync($0) },
            Call("fchmod") { fchmod($0, 0o644) },
            Call("fchown") { fchown($0, .max, .max) },
            Call("futimens") { futimens($0, nil) },
            Call(answering: "flock") { apusfs_try_flock($0, 1) },
            Call("F_GETLK") { descriptor in
                var range = flock()
                return fcntl(descriptor, F_GETLK, &range)
            },
            Call("fchdir") { fchdir($0) },
            Call("dup") { dup($0) },
            Call("close") { close($0) },
        ]

        /// Those with a path that begins at a directory's descriptor.
        private static let relative: [Call] = [
            Call("openat") { openat($0, "x", O_RDONLY) },
            Call("mkdirat") { mkdirat($0, "x", 0o755) },
            Call("unlinkat") { unlinkat($0, "x", 0) },
            Call("renameat") { renameat($0, "x", $0, "y") },
            Call("linkat") { linkat($0, "x", $0, "y", 0) },
            Call("symlinkat") { symlinkat("x", $0, "y") },
            Call("mknodat") { mknodat($0, "x", S_IFREG | 0o644, 0) },
            Call("fchmodat") { fchmodat($0, "x", 0o644, 0) },
            Call("fchownat") { fchownat($0, "x", 0, 0, 0) },
            Call("utimensat") { utimensat($0, "x", nil, 0) },
            Call("readlinkat") { descriptor in
                var bytes = [CChar](repeating: 0, count: 10)
                return Int32(readlinkat(descriptor, "x", &bytes, 10))
            },
            Call("faccessat") { faccessat($0, "x", R_OK, 0) },
            Call("fstatat") { descriptor in
                var status = FileStatus()
                return fstatat(descriptor, "x", &status, 0)
            },
        ]

        private static func lock(_ descriptor: Int32, _ kind: Int32) -> Int32 {
            var range = flock()
            range.l_type = Int16(kind)
            range.l_whence = Int16(SEEK_SET)
            return fcntl(descriptor, F_SETLK, &range)
        }

        @Test func `a descriptor that is not open is EBADF for every call`() {
            for call in Self.everyCall {
                #expect(call.run(1_000_000) == EBADF, "\(call.name)")
                #expect(call.run(-1) == EBADF, "\(call.name) of -1")
            }
        }

        @Test func `one that is open for something else is EBADF, for ftruncate EINVAL`() throws {
            let reader = try Descriptor(place["file"], O_RDONLY)
            for call in Self.writing { #expect(call.run(reader.raw) == EBADF, "\(call.name)") }
            let writer = try Descriptor(place["file"], O_WRONLY)
            for call in Self.reading { #expect(call.run(writer.raw) == EBADF, "\(call.name)") }
            #expect(throws: Errno.invalid) { try reader.truncate(0) }
            let directory = try Descriptor(place.path, O_RDONLY)
            for call in Self.writing {
                #expect(call.run(directory.raw) == EBADF, "\(call.name)")
            }
            #expect(throws: Errno.isDirectory) { try directory.read(1) }
            #expect(throws: Errno.invalid) { try directory.truncate(0) }
            #expect(try SystemCall.readFile(place["file"]) == Array("text".utf8))
        }

        @Test func `a file where a directory should be is ENOTDIR`() throws {
            let file = try Descriptor(place["file"], O_RDWR)
            for call in Self.relative { #expect(call.run(file.raw) == ENOTDIR, "\(call.name)") }
            #expect(fchdir(file.raw) == -1)
            #expect(errno == ENOTDIR)
            #expect(throws: Errno.notDirectory) { try Listing.names(place["file"]) }
        }

        @Test func `an address that is none is EFAULT, and nothing is written or moved`() throws {
            let file = try Descriptor(place["file"], O_RDWR)
            let nowhere = UnsafeMutableRawPointer(bitPattern: 8)
            #expect(read(file.raw, nowhere, 4) == -1)
            #expect(errno == EFAULT)
            #expect(pread(file.raw, nowhere, 4, 0) == -1)
            #expect(errno == EFAULT)
            #expect(write(file.raw, nowhere, 4) == -1)
            #expect(errno == EFAULT)
            #expect(try file.seek(0, SEEK_CUR) == 0)
            #expect(try SystemCall.readFile(place["file"]) == Array("text".utf8))
        }

        @Test func `more open files than the process may have are EMFILE`() throws {
            let script = """
                import errno, os, sys
                import resource
                resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
                files = []
                try:
                    while True: files.append(os.open(sys.argv[1], os.O_RDONLY))
                except OSError as error:
                    print(errno.errorcode[error.errno], len(files) > 50)
                """
            let run = try ProgramRun.run(["python3", "-c", script, place["file"]]).checked()
            #expect(run.output == "EMFILE True\n")
        }
    }
}
