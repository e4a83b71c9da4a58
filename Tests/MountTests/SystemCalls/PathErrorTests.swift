import CLinux
import Glibc
import Primitives
import Testing

extension MountTests.SystemCallTests {
    /// What every call that takes a path says of a path that leads nowhere (path_resolution(7)), and that it
    /// leaves everything as it was.
    @Suite struct PathErrorTests {
        let place: Place

        init() throws { place = try Mount.current.makePlace() }

        /// A call with a path, and what it makes of it: 0 or errno.
        struct Call: Sendable, CustomTestStringConvertible {
            let name: String
            let makesName: Bool
            let run: @Sendable (UnsafePointer<CChar>, Place) -> Int32

            var testDescription: String { name }

            /// A call that needs the file to be there.
            init(_ name: String, _ run: @escaping @Sendable (UnsafePointer<CChar>) -> Int32) {
                self.name = name
                makesName = false
                self.run = { path, _ in errorNumber(run(path)) }
            }

            /// A call that makes the last part of its path; it is also told where `there` is.
            init(
                making name: String,
                _ run: @escaping @Sendable (UnsafePointer<CChar>, String) -> Int32
            ) {
                self.name = name
                makesName = true
                self.run = { path, place in errorNumber(run(path, place["there"])) }
            }
        }

        /// 0, or the errno of the call that has just failed.
        private static func errorNumber(_ result: Int32) -> Int32 { result < 0 ? errno : 0 }

        private static func opened(_ descriptor: Int32) -> Int32 {
            if descriptor >= 0 { close(descriptor) }
            return descriptor
        }

        /// Of a function of CLinux, which returns an errno or -errno.
        private static func answered(_ result: Int) -> Int32 {
            errno = Int32(abs(result))
            return result == 0 ? 0 : -1
        }

        static let calls: [Call] = [
            Call("open") { opened(open($0, O_RDONLY | O_CLOEXEC)) },
            Call("open for writing") { opened(open($0, O_WRONLY | O_CLOEXEC)) },
            Call(making: "open with O_CREAT") { path, _ in
                opened(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644))
            },
            Call("opendir") { path in
                guard let stream = opendir(path) else { return -1 }
                return closedir(stream)
            },
            Call("stat") { path in
                var status = FileStatus()
                return fstatat(AT_FDCWD, path, &status, 0)
            },
            Call("lstat") { path in
                var status = FileStatus()
                return fstatat(AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW)
            },
            Call("statvfs") { volumeStatus($0) },
            Call("access") { access($0, R_OK) },
            Call("chmod") { chmod($0, 0o644) },
            Call("chown") { chown($0, .max, .max) },
            Call("lchown") { lchown($0, .max, .max) },
            Call("truncate") { truncate($0, 0) },
            Call("utimensat") { utimensat(AT_FDCWD, $0, nil, 0) },
            Call("utimensat of a link") { utimensat(AT_FDCWD, $0, nil, AT_SYMLINK_NOFOLLOW) },
            Call("readlink") { path in
                var bytes = [CChar](repeating: 0, count: 100)
                return Int32(readlink(path, &bytes, bytes.count))
            },
            Call("unlink") { unlink($0) },
            Call("rmdir") { rmdir($0) },
            Call("rename from") { rename($0, String(cString: $0) + "-to") },
            Call(making: "rename to") { path, there in rename(there, path) },
            Call("link from") { link($0, String(cString: $0) + "-to") },
            Call(making: "link to") { path, there in link(there, path) },
            Call(making: "symlink") { path, _ in symlink("target", path) },
            Call(making: "mkdir") { path, _ in mkdir(path, 0o755) },
            Call(making: "mknod") { path, _ in mknod(path, S_IFREG | 0o644, 0) },
            Call(making: "mkfifo") { path, _ in mkfifo(path, 0o644) },
            Call("setxattr") { answered(Int(apusfs_set_xattr($0, "user.x", "1", 1, 0))) },
            Call("getxattr") { path in
                var value = [UInt8](repeating: 0, count: 100)
                return answered(min(0, apusfs_get_xattr(path, "user.x", &value, value.count)))
            },
            Call("listxattr") { path in
                var names = [CChar](repeating: 0, count: 100)
                return answered(min(0, apusfs_list_xattrs(path, &names, names.count)))
            },
            Call("removexattr") { answered(Int(apusfs_remove_xattr($0, "user.x"))) },
        ]

        @Test(arguments: calls)
        func `a path that leads nowhere, in circles, through a file or behind a closed door`(
            call: Call
        ) throws {
            try SystemCall.writeFile(place["there"], "text")
            try SystemCall.symlink("loop", place["loop"])
            try SystemCall.mkdir(place["closed"])
            try SystemCall.writeFile(place["closed/file"], "text")
            try SystemCall.chmod(place["closed"], 0o700)
            let before = try Listing.names(place.path)
            let long = String(repeating: "n", count: 256)
            let longPath = place.path + String(repeating: "/././././", count: 500) + "there"

            #expect(call.run(place["missing/x"], place) == ENOENT)
            #expect(call.run("", place) == ENOENT)
            #expect(call.run(place["there/x"], place) == ENOTDIR)
            #expect(call.run(place["loop/x"], place) == ELOOP)
            #expect(call.run(place[long], place) == ENAMETOOLONG)
            #expect(call.run(place[long + "/x"], place) == ENAMETOOLONG)
            #expect(call.run(longPath, place) == ENAMETOOLONG)
            if !call.makesName { #expect(call.run(place["missing"], place) == ENOENT) }
            let place = place
            try Person.alice.run {
                #expect(call.run(place["closed/file"], place) == EACCES)
                #expect(call.run(place["closed/missing"], place) == EACCES)
            }

            #expect(try Listing.names(place.path) == before)
            #expect(try SystemCall.readFile(place["there"]) == Array("text".utf8))
            #expect(try Listing.names(place["closed"]) == [".", "..", "file"])
        }

        /// Without those whose path is looked at here or by libc before the kernel sees it.
        @Test(arguments: calls.filter { !$0.name.hasSuffix(" from") && $0.name != "opendir" })
        func `an address that is none is EFAULT`(call: Call) throws {
            try SystemCall.writeFile(place["there"], "text")
            // SAFETY: nothing is mapped in the first page; only the kernel reads from it, and says so.
            let nowhere = try #require(UnsafePointer<CChar>(bitPattern: 8))
            #expect(call.run(nowhere, place) == EFAULT)
        }
    }
}

// Inside of a type with such members, or for a struct of the same name, the function of C has no name.
private func volumeStatus(_ path: UnsafePointer<CChar>) -> Int32 {
    var information = VolumeStatus()
    return statvfs(path, &information)
}
