import FileSystem
import Foundation
import FuseServer
import Primitives
import Telemetry
import Testing

@Suite(.serialized, .timeLimit(.minutes(2))) struct ErrorTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let operation: String
        let errno: Errno
        let call: @Sendable (String) throws -> Void
        var testDescription: String { "\(operation): \(errno)" }
    }

    static let cases: [Case] = [
        Case(operation: "lookup", errno: .accessDenied) { _ = try Call.status($0 + "/file") },
        Case(operation: "mkdir", errno: .noSpace) { try Call.checked(mkdir($0 + "/new", 0o755)) },
        Case(operation: "mknod", errno: .notPermitted) {
            try Call.checked(mkfifo($0 + "/new", 0o755))
        },
        Case(operation: "symlink", errno: .readOnlyFileSystem) {
            try Call.checked(symlink("x", $0 + "/new"))
        },
        Case(operation: "link", errno: .tooManyLinks) {
            try Call.checked(link($0 + "/file", $0 + "/new"))
        },
        Case(operation: "unlink", errno: .busy) { try Call.checked(unlink($0 + "/file")) },
        Case(operation: "rmdir", errno: .directoryNotEmpty) {
            try Call.checked(rmdir($0 + "/dir"))
        },
        Case(operation: "rename", errno: .crossDevice) {
            try Call.rename($0 + "/file", $0 + "/new")
        },
        Case(operation: "readlink", errno: .ioError) {
            _ = try FileManager.default.destinationOfSymbolicLink(atPath: $0 + "/symbolic")
        },
        Case(operation: "getattr", errno: .stale) { path in
            try Call.withFile(path + "/file", O_RDONLY) { file in
                var status = stat()
                try Call.checked(fstat(file, &status))
            }
        },
        Case(operation: "setattr", errno: .fileTooLarge) {
            try Call.checked(truncate($0 + "/file", 1 << 50))
        },
        Case(operation: "statfs", errno: .ioError) {
            var status = statvfs()
            try Call.checked(statvfs($0, &status))
        },
        Case(operation: "getxattr", errno: .noAttribute) {
            _ = try Call.getxattr($0 + "/file", "user.a", room: 0)
        },
        Case(operation: "listxattr", errno: .ioError) {
            _ = try Call.listxattr($0 + "/file", room: 0)
        },
        Case(operation: "setxattr", errno: .noSpace) {
            try Call.setxattr($0 + "/file", "user.a", [1])
        },
        Case(operation: "removexattr", errno: .noAttribute) {
            try Call.removexattr($0 + "/file", "user.a")
        },
        Case(operation: "open", errno: .interrupted) {
            close(try Call.open($0 + "/file", O_RDONLY))
        },
        Case(operation: "create", errno: .noSpace) { try Call.create($0 + "/new") },
        Case(operation: "read", errno: .ioError) { _ = try Call.contents($0 + "/file") },
        Case(operation: "write", errno: .noSpace) { try Call.create($0 + "/file", [1]) },
        Case(operation: "fsync", errno: .ioError) {
            try Call.withFile($0 + "/file", O_RDWR) { try Call.checked(fsync($0)) }
        },
        Case(operation: "fallocate", errno: .notSupported) {
            try Call.withFile($0 + "/file", O_RDWR) {
                try Call.fallocate($0, mode: 0, offset: 0, length: 10)
            }
        },
        Case(operation: "lseek", errno: .noSuchDevice) {
            try Call.withFile($0 + "/file", O_RDWR) { try Call.checked(lseek($0, 0, 3)) }
        },
        Case(operation: "copyFileRange", errno: .noSpace) { path in
            try Call.withFile(path + "/file", O_RDWR) { from in
                try Call.withFile(path + "/other", O_RDWR) { target in
                    _ = try Call.copyRange(from, target, at: 0, length: 2)
                }
            }
        },
        Case(operation: "opendir", errno: .accessDenied) { _ = try Call.list($0) },
        Case(operation: "fsyncdir", errno: .ioError) {
            try Call.withFile($0, O_RDONLY | O_DIRECTORY) { try Call.checked(fsync($0)) }
        },
    ]

    @Test(arguments: cases) func `an errno of the filesystem is the errno of the call`(
        _ item: Case
    ) throws {
        try withMount { mount in
            mount.files.plant("file", data: [1, 2, 3])
            mount.files.plant("other", data: [1])
            mount.files.plant("dir", mode: 0o040755)
            let symbolic = mount.files.plant("symbolic", mode: 0o120777)
            mount.files.change(symbolic) { $0.target = [1] }
            mount.files.configure { $0.failures[item.operation] = item.errno }
            let before = mount.metrics.value(of: .fuseErrors)
            let failure: Errno? =
                if item.operation == "readlink" {
                    Call.failure {
                        var target = [CChar](repeating: 0, count: 100)
                        try Call.checked(readlink(mount.path + "/symbolic", &target, 100))
                    }
                } else { Call.failure { try item.call(mount.path) } }
            #expect(failure == item.errno)
            #expect(mount.metrics.value(of: .fuseErrors) > before)
        }
    }
}
