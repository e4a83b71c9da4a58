import TestSupport
import Testing

extension MountTests {
    @Suite struct FioTests {
        /// One way to write a file, which fio reads back and checks block by block. The file gets its
        /// size first: a later run takes a shorter one for a file of another job, and empties it.
        struct Job: Sendable, CustomTestStringConvertible {
            let name: String
            let words: [String]
            var testDescription: String { name }
        }

        static let mixedSizes =
            "512/10:1k/5:3584/5:4k/20:12k/10:64k/15:124k/10:128k/10:508k/5:1m/10"

        static let jobs = [
            Job(name: "sequential 1 MiB", words: ["--rw=write", "--bs=1m"]),
            Job(name: "sequential 4 KiB", words: ["--rw=write", "--bs=4k"]),
            Job(name: "random 4 KiB", words: ["--rw=randwrite", "--bs=4k"]),
            Job(name: "random 124 KiB", words: ["--rw=randwrite", "--bs=124k"]),
            Job(name: "sequential, mixed sizes", words: ["--rw=write", "--bssplit=\(mixedSizes)"]),
            Job(name: "random, mixed sizes", words: ["--rw=randwrite", "--bssplit=\(mixedSizes)"]),
            Job(
                name: "reads and writes, mixed sizes",
                words: ["--rw=randrw", "--bssplit=\(mixedSizes)"]),
            Job(
                name: "random 4 KiB through mmap",
                words: ["--rw=randwrite", "--bs=4k", "--ioengine=mmap"]),
            Job(
                name: "sequential through mmap",
                words: ["--rw=write", "--bs=64k", "--ioengine=mmap"]),
            Job(
                name: "random with fsync every 16 writes",
                words: ["--rw=randwrite", "--bs=16k", "--fsync=16"]),
            Job(name: "random O_DIRECT", words: ["--rw=randwrite", "--bs=16k", "--direct=1"]),
        ]

        @Test(arguments: jobs)
        func `what fio wrote it reads back, also after mounting again`(job: Job) throws {
            try withMount(flags: ["--cache-size", "16M"]) { mount in
                let words =
                    [
                        "fio", "--name=job", "--directory=\(mount.path)", "--size=\(Scale.fioMiB)M",
                        "--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0",
                        "--fallocate=truncate",
                        "--output-format=terse",
                    ]
                    + (job.words.contains { $0.hasPrefix("--ioengine") }
                        ? [] : ["--ioengine=psync"])
                    + job.words
                try ProgramRun.run(words + ["--do_verify=1"]).checked()
                try mount.remount()
                try ProgramRun.run(words + ["--verify_only=1"]).checked()
            }
        }

        @Test func `four writers with files of their own verify what they wrote`() throws {
            try withMount(flags: ["--cache-size", "16M"]) { mount in
                try ProgramRun.run([
                    "fio", "--name=many", "--directory=\(mount.path)", "--numjobs=4",
                    "--size=\(Scale.fioMiB / 2)M", "--rw=randwrite", "--bssplit=\(Self.mixedSizes)",
                    "--ioengine=psync", "--verify=crc32c", "--verify_fatal=1",
                    "--verify_state_save=0", "--fallocate=truncate", "--do_verify=1",
                    "--output-format=terse",
                ]).checked()
            }
        }
    }
}
