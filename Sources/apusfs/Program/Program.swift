import Glibc

/// The program: `apusfs`, or a mount helper when it is called `mount.apusfs`.
@main
enum Program {
    // Callbacks of C libraries are made in other types: a closure made here would be bound to the main
    // thread and stop the process on any other.
    static func main() {
        let arguments = CommandLine.arguments
        ArgumentVeil.hideSecrets(in: arguments)
        exit(Dispatch.run(arguments))
    }
}
