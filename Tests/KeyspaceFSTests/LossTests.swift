import Foundation
import TestSupport
import Testing

@testable import KeyspaceFS

/// What an unmount says of changes that could not be stored, on a real mount.
@Suite(.serialized) struct LossTests {
    @Test(arguments: [true, false])
    func `a loss is told once: by the call that failed, else by the unmount`(isSynced: Bool) throws
    {
        let view = try ServedView(prepare: { try $0.cli("SET", "k", "old") }) { options in
            options.isReadOnly = false
            options.flushIntervalMilliseconds = 60_000
        }
        // A program of its own: what this process has open is stored whenever another test starts one,
        // which closes its copy of the descriptor.
        let program = try Program(
            """
            import errno, os, sys
            file = os.open(sys.argv[1], os.O_RDWR)
            print("opened", flush=True)
            sys.stdin.readline()
            os.pwrite(file, b"mine", 0)
            try:
                if sys.argv[2] == "true":
                    os.fsync(file)
                print("written", flush=True)
            except OSError as error:
                print(errno.errorcode[error.errno], flush=True)
            sys.stdin.readline()
            """, [view.path + "/k", "\(isSynced)"])
        defer { program.end() }
        #expect(program.line() == "opened")
        try view.redis.cli("SET", "k", "theirs")
        program.go()
        #expect(program.line() == (isSynced ? "ESTALE" : "written"))
        view.stop()
        #expect(view.fileSystem.lostFileCount == (isSynced ? 0 : 1))
        #expect(try view.redis.cli("GET", "k") == "theirs")
    }

    /// A Python program that is told when to go on.
    private final class Program {
        private let process = Process()
        private let input = Pipe()
        private let output = Pipe()

        init(_ text: String, _ arguments: [String]) throws {
            process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
            process.arguments = ["-c", text] + arguments
            process.standardInput = input
            process.standardOutput = output
            try process.run()
        }

        func go() { input.fileHandleForWriting.write(Data("\n".utf8)) }

        /// The next line that it prints.
        func line() -> String {
            var bytes: [UInt8] = []
            while let next = output.fileHandleForReading.readData(ofLength: 1).first,
                next != UInt8(ascii: "\n")
            {
                bytes.append(next)
            }
            return String(decoding: bytes, as: UTF8.self)
        }

        func end() {
            go()
            process.waitUntilExit()
        }
    }
}
