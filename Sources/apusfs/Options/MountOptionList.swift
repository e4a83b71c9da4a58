/// Reads what stands behind `-o`, as fstab writes it: `ro,cache-size=2GiB,_netdev`.
///
/// Each word is one of four: ours (`MountOption.all`), one for libfuse and the kernel (handed on), one
/// that only mount(8) or systemd reads (ignored), or a mistake.
enum MountOptionList {
    /// Words of libfuse 3.14 and of the kernel that take no value (mount.fuse3(8), mount(8)).
    static let handedOn: Set<String> = [
        "suid", "nosuid", "dev", "nodev", "exec", "noexec", "sync", "async", "dirsync",
        "allow-root", "default-permissions", "auto-unmount",
    ]
    /// The same, with a value.
    static let handedOnWithValue: Set<String> = [
        "fsname", "context", "fscontext", "defcontext", "rootcontext",
    ]
    /// Words that have been obeyed, or need not be, once they arrive here.
    static let ignored: Set<String> = [
        "-netdev", "netdev", "nofail", "defaults", "user", "users", "nouser", "owner", "group",
        "auto",
        "noauto", "rw", "atime", "diratime", "nodiratime", "norelatime", "nostrictatime",
        "lazytime",
        "nolazytime", "comment",
    ]

    /// Applies all words of `text` in order. With `isSloppy` (`mount -s`), unknown words are returned
    /// rather than refused.
    @discardableResult
    static func apply(
        _ text: String, to settings: inout MountSettings, isSloppy: Bool = false
    ) throws(CommandFailure) -> [String] {
        var skipped: [String] = []
        let options = MountOption.all(for: settings)
        for word in words(of: text) {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let key = String(parts[0]).replacing("_", with: "-")
            let value = parts.count == 2 ? String(parts[1]) : nil
            if let option = MountOption.named(key, among: options) {
                try apply(option, value: value, word: "-o \(parts[0])", to: &settings)
            } else if handedOn.contains(key) && value == nil
                || handedOnWithValue.contains(key) && value != nil
            {
                // libfuse writes its own options with an underscore.
                let name = key.replacing("-", with: "_")
                settings.fuseOptions.append(value.map { "\(name)=\($0)" } ?? name)
            } else if key == "rw", settings.keys == nil {
                // mount(8) says it unasked: the data of others takes a `write`.
                settings.isReadOnly = false
            } else if ignored.contains(key) || key.hasPrefix("x-") {
                continue
            } else if isSloppy {
                skipped.append(String(parts[0]))
            } else {
                throw unknown(String(parts[0]), settings)
            }
        }
        return skipped
    }

    /// Applies one option, with its name before what is wrong with its value.
    static func apply(
        _ option: MountOption, value: String?, word: String, to settings: inout MountSettings
    ) throws(CommandFailure) {
        switch (option.argument, value) {
        case (.none, nil): break
        case (.none, _?):
            throw CommandFailure("\(word): takes no value", status: .usage)
        case (.required(let name), nil):
            throw CommandFailure("\(word): needs a value: \(option.name)=\(name)", status: .usage)
        case (.required, _?): break
        }
        do throws(CommandFailure) {
            try option.apply(value ?? "", &settings)
        } catch {
            throw CommandFailure("\(word): \(error)", status: error.status)
        }
    }

    /// Splits at commas; `\,` is a comma that belongs to a value and `\\` a backslash, as for libfuse.
    static func words(of text: String) -> [String] {
        var words: [String] = []
        var word = ""
        var isEscaped = false
        for character in text {
            if isEscaped {
                word.append(character)
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else if character == "," {
                words.append(word)
                word = ""
            } else {
                word.append(character)
            }
        }
        words.append(word)
        return words.filter { !$0.isEmpty }
    }

    private static func unknown(_ key: String, _ settings: MountSettings) -> CommandFailure {
        let known =
            MountOption.all(for: settings).flatMap { [$0.name] + $0.aliases } + handedOn
            + handedOnWithValue + ignored
        let command = settings.keys == nil ? "mount" : "keys"
        guard let near = Spelling.nearest(to: key.replacing("_", with: "-"), among: known) else {
            return CommandFailure(
                "-o \(key): unknown mount option; 'apusfs \(command) --help' lists them",
                status: .usage)
        }
        return CommandFailure(
            "-o \(key): unknown mount option; did you mean '\(near)'?", status: .usage)
    }
}
