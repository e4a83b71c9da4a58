import CLinux
import Glibc
import Primitives

/// Starts the process behind a mount and waits until the mount answers.
///
/// The process is this program again, started anew rather than forked: threads of the runtime and of
/// the allocator do not survive fork(2). Its arguments show the source without its password.
enum BackgroundMount {
    /// Descriptors of the new process: the plan comes in, messages go out.
    static let planDescriptor: Int32 = 3
    static let messageDescriptor: Int32 = 4

    /// A plan is smaller than what a pipe takes without a reader (pipe(7): 64 KiB).
    static let planLimitBytes = 65_536

    /// Returns once the mount answers. A failure is the one of the process.
    static func start(_ plan: MountPlan, show: (MountMessage) -> Void) throws(CommandFailure) {
        Signals.block(Interruption.signals)
        let (process, messages) = try spawn(plan)
        let interruption = Interruption(passOnTo: process)
        var lines = LineBuffer()
        while true {
            let bytes: [UInt8]
            do throws(Errno) {
                bytes = try messages.readSome()
            } catch {
                throw CommandFailure("mount", "cannot read from the process", errno: error.rawValue)
            }
            if bytes.isEmpty { throw died(process, interruption) }
            for line in lines.add(bytes) {
                switch MountMessage(line: line) {
                case .ready where !interruption.hasCome: return
                // The process has been told to end; its own line would be about that.
                case .ready,
                    .failed where interruption.hasCome:
                    throw ended(process)
                case .failed(let status, let text): throw CommandFailure(text, status: status)
                case .progress(let text): show(.progress(text))
                case .warning(let text): show(.warning(text))
                case nil: throw CommandFailure("mount: the process said: \(line)")
                }
            }
        }
    }

    private static func spawn(
        _ plan: MountPlan
    ) throws(CommandFailure) -> (ProcessHandle, OwnedDescriptor) {
        try Confinement.giveUpCapabilities()
        do throws(Errno) {
            let nothing = try OwnedDescriptor.open("/dev/null", O_RDWR)
            let input = try OwnedDescriptor.pipe()
            let output = try OwnedDescriptor.pipe()
            let text = Array(JSON.text(plan, isPretty: false).utf8)
            guard text.count < planLimitBytes else { throw Errno.argumentListTooLong }
            try input.write.writeAll(text)
            let process = try ChildProcess.spawn(
                "/proc/self/exe",
                arguments: ["apusfs", "serve", plan.shownSource, plan.mountPoint],
                environment: Environment.withoutSecrets,
                descriptors: [
                    nothing.raw, nothing.raw, nothing.raw, input.read.raw, output.write.raw,
                ])
            return (process, output.read)
        } catch {
            throw CommandFailure("mount", "cannot start the process", errno: error.rawValue)
        }
    }

    /// How long a process that was told to end may take to undo what it began.
    private static let endMilliseconds = 30_000

    private static func ended(_ process: ProcessHandle) -> CommandFailure {
        _ = process.awaitEnd(until: .after(milliseconds: endMilliseconds))
        return CommandFailure("interrupted", status: .interrupted)
    }

    private static func died(
        _ process: ProcessHandle, _ interruption: Interruption
    ) -> CommandFailure {
        if interruption.hasCome { return ended(process) }
        _ = process.awaitEnd(until: .after(milliseconds: endMilliseconds))
        let status = process.reap().map { "\($0)" } ?? "no status"
        return CommandFailure(
            "the process behind the mount ended before the mount answered (\(status))",
            status: .mountFailure)
    }
}

/// Collects bytes into lines.
struct LineBuffer {
    private var rest: [UInt8] = []

    /// The lines that are complete with these bytes.
    mutating func add(_ bytes: [UInt8]) -> [String] {
        rest += bytes
        var lines: [String] = []
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            lines.append(String(decoding: rest[..<end], as: UTF8.self))
            rest.removeFirst(end + 1)
        }
        return lines
    }
}
