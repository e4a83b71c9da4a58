import ArgumentParser

/// Chooses the grammar by the name the program was called with, runs the command, and turns what it
/// throws into one line and an exit status.
enum Dispatch {
    /// mount(8) looks for these under /sbin.
    static let helperNames = ["mount.apusfs", "mount.fuse.apusfs"]
    /// The same for the keys of a database.
    static let keysHelperNames = ["mount.apusfs-keys", "mount.fuse.apusfs-keys"]

    static func run(_ arguments: [String]) -> Int32 {
        let name = arguments.first?.split(separator: "/").last.map { String($0) } ?? ""
        let rest = Array(arguments.dropFirst())
        do {
            if (helperNames + keysHelperNames).contains(name) {
                try MountCall.run(rest, showsKeys: keysHelperNames.contains(name))
            } else {
                var command = try RootCommand.command(rest)
                try command.run()
            }
            return ExitStatus.success.rawValue
        } catch let failure as CommandFailure {
            Console.error(withoutSecrets(failure.message, of: rest))
            return failure.status.rawValue
        } catch let code as ExitCode {
            return code.rawValue
        } catch {
            return report(error, of: rest)
        }
    }

    /// Help goes to standard output, whole; a mistake is one line.
    private static func report(_ error: any Error, of arguments: [String]) -> Int32 {
        if RootCommand.exitCode(for: error).isSuccess {
            Console.print(RootCommand.fullMessage(for: error))
            return ExitStatus.success.rawValue
        }
        let message = RootCommand.message(for: error)
            .split(whereSeparator: \.isNewline).joined(separator: " ")
        Console.error("\(withoutSecrets(message, of: arguments)) ('apusfs --help' shows how)")
        let isCheck = arguments.first == CheckCommand.configuration.commandName
        return isCheck ? CheckStatus.usage.rawValue : ExitStatus.usage.rawValue
    }

    /// A message about an argument must not repeat the password in it.
    static func withoutSecrets(_ message: String, of arguments: [String]) -> String {
        let secrets = arguments.compactMap { argument -> String? in
            ArgumentVeil.secretBytes(of: argument).map { range in
                String(decoding: Array(argument.utf8)[range], as: UTF8.self)
            }
        }
        return SecretScrubber.scrub(message, of: secrets)
    }
}
