import TestSupport
import Testing

extension MountTests {
    @Suite struct MakeTests {
        private static let sources = 24

        @Test func `make -j2 builds a C project, and later only what has changed`() throws {
            try withMount { mount in
                let project = mount.path + "/project"
                try makeProject(at: project)
                let first = try make(project)
                #expect(first.output.components("cc -O1 -c").count == Self.sources + 1)
                #expect(try ProgramRun.run([project + "/sum"]).checked().output == "276\n")
                #expect(try make(project).output.contains("up to date"))

                try mount.remount()
                #expect(try make(project).output.contains("up to date"))
                #expect(try ProgramRun.run([project + "/sum"]).checked().output == "276\n")
                try SystemCall.writeFile(project + "/part3.c", "int part3(void) { return 1003; }\n")
                let second = try make(project)
                #expect(second.output.components("cc -O1 -c").count == 1)
                #expect(try ProgramRun.run([project + "/sum"]).checked().output == "1276\n")
            }
        }

        private func make(_ project: String) throws -> ProgramRun {
            try ProgramRun.run(["make", "-j2"], in: project).checked()
        }

        /// A program that adds what each of its parts returns: 0 + 1 + ... + 23.
        private func makeProject(at path: String) throws {
            try SystemCall.mkdir(path)
            let parts = (0..<Self.sources).map { "part\($0)" }
            for (index, part) in parts.enumerated() {
                try SystemCall.writeFile(
                    "\(path)/\(part).c", "int \(part)(void) { return \(index); }\n")
            }
            let calls = parts.map { "\($0)()" }.joined(separator: " + ")
            let header = parts.map { "int \($0)(void);\n" }.joined()
            try SystemCall.writeFile(path + "/parts.h", header)
            try SystemCall.writeFile(
                path + "/main.c",
                "#include <stdio.h>\n#include \"parts.h\"\n"
                    + "int main(void) { printf(\"%d\\n\", \(calls)); return 0; }\n")
            let objects = (parts + ["main"]).map { $0 + ".o" }.joined(separator: " ")
            try SystemCall.writeFile(
                path + "/Makefile",
                """
                sum: libparts.a
                \tcc -o sum main.o libparts.a
                libparts.a: \(objects)
                \tar rcs $@ $^
                %.o: %.c
                \tcc -O1 -c -o $@ $<
                main.o: parts.h

                """)
        }
    }
}

extension String {
    /// The lines in which `text` stands.
    fileprivate func components(_ text: String) -> [Substring] {
        split(separator: "\n").filter { $0.contains(text) }
    }
}
