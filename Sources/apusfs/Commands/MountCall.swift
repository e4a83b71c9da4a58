/// The grammar of mount(8) for helpers: `mount.apusfs SOURCE DIR [-sfnvrw] [-N NAMESPACE] [-t TYPE]
/// [-o OPTIONS]`, and the same for `mount.apusfs-keys`, where `-o` takes the options of `apusfs keys`.
///
/// With `remount` among the options, what is mounted there gets other flags (`Remount`).
///
/// Exit statuses are those of mount(8): 1 for wrong usage, 32 for a mount that failed.
enum MountCall {
    struct Words: Equatable {
        var places: [String] = []
        var options: [String] = []
        /// `-s`: unknown options are told of, not refused.
        var isSloppy = false
        /// `-f`: check everything, mount nothing.
        var isFake = false
    }

    static func run(_ arguments: [String], showsKeys: Bool) throws(CommandFailure) {
        do throws(CommandFailure) {
            let call = try parse(arguments)
            var settings = MountSettings()
            if showsKeys { settings.keys = KeysSettings() }
            if let remount = try Remount(call.options, settings, isSloppy: call.isSloppy) {
                return try remount.carryOut(at: call.places, isFake: call.isFake)
            }
            for list in call.options {
                let unknown = try MountOptionList.apply(
                    list, to: &settings, isSloppy: call.isSloppy)
                for word in unknown { Console.error("warning: -o \(word): unknown, ignored") }
            }
            // mount(8) and systemd wait for the helper to end.
            settings.isForeground = false
            try settings.completeKeys()
            try Mounting.mount(call.places, settings, isFake: call.isFake)
        } catch {
            guard error.status == .usage else { throw error }
            throw CommandFailure(error.message, status: .failure)
        }
    }

    static func parse(_ arguments: [String]) throws(CommandFailure) -> Words {
        var call = Words()
        var rest = arguments[...]
        while let word = rest.popFirst() {
            guard word.hasPrefix("-"), word.utf8.count > 1 else {
                call.places.append(word)
                continue
            }
            guard !word.hasPrefix("--") else { throw unknown(word) }
            var letters = word.dropFirst()
            while let letter = letters.popFirst() {
                switch letter {
                case "s": call.isSloppy = true
                case "f": call.isFake = true
                case "n", "v": break
                case "r": call.options.append("ro")
                case "w": call.options.append("rw")
                case "o", "t", "N":
                    let value = letters.isEmpty ? rest.popFirst() : String(letters)
                    guard let value else {
                        throw CommandFailure("-\(letter): needs a value", status: .usage)
                    }
                    if letter == "o" { call.options.append(value) }
                    letters = ""
                default: throw unknown("-\(letter)")
                }
            }
        }
        return call
    }

    private static func unknown(_ word: String) -> CommandFailure {
        CommandFailure("\(word): unknown option of a mount helper", status: .usage)
    }
}
