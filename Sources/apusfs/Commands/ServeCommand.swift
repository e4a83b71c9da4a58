import ArgumentParser

/// The process behind a mount in the background. It is started by `apusfs mount` only; its arguments
/// are for `ps`, its plan comes through a pipe.
struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "serve", shouldDisplay: false)

    @Argument var shownSource: String
    @Argument var shownMountPoint: String

    func run() throws { try Mounting.serveInBackground() }
}
