import ArgumentParser

// The flags of `apusfs keys` that concern the view; `SharedFlags` has the others, and says how flags work.

struct KeysViewFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp("Divides keys into directories (default: ':').", valueName: "CHARACTER"))
    var separator: String?

    @Option(
        help: ArgumentHelp("Only keys that begin so, shown without it.", valueName: "TEXT"))
    var prefix: String?

    @Option(help: ArgumentHelp("Only keys that match (as of SCAN).", valueName: "PATTERN"))
    var match: String?

    @Option(
        help: ArgumentHelp(
            "How many separators divide a key at most; 0 shows all keys in one directory.",
            valueName: "N"))
    var depth: String?

    @Option(
        help: ArgumentHelp(
            "Field f of hash k as file k.f, or as file f in directory k (default: fields).",
            valueName: "fields|directory"))
    var hashes: String?

    @Option(
        help: ArgumentHelp(
            "How lists, sets, sorted sets and streams read (default: text).",
            valueName: "text|json"))
    var format: String?

    @Option(
        help: ArgumentHelp("The database; wins over that of SOURCE (default: 0).", valueName: "N"))
    var redisDb: String?

    @Option(
        help: ArgumentHelp(
            "How changes of others are learned (default: auto).",
            valueName: "auto|tracking|notifications|none"))
    var changes: String?

    @Option(
        help: ArgumentHelp(
            "How long names are believed where changes are not announced (default: 10s).",
            valueName: "TIME"))
    var refresh: String?

    var given: [GivenFlag] {
        collect([
            ("separator", separator), ("prefix", prefix), ("match", match), ("depth", depth),
            ("hashes", hashes), ("format", format), ("redis-db", redisDb), ("changes", changes),
            ("refresh", refresh),
        ])
    }
}

struct KeysChangeFlags: ParsableArguments {
    @Flag(help: "Let programs change the dataset (default: every change is refused, EROFS).")
    var write = false

    @Flag(help: "Refuse every change, whatever a configuration file says.")
    var readOnly = false

    @Flag(help: "Let lists, sets, sorted sets and streams be removed, renamed and replaced, too.")
    var removeAnyType = false

    @Option(
        help: ArgumentHelp(
            "What a close does with a value that others have changed meanwhile (default: fail).",
            valueName: "fail|overwrite|keep-both"))
    var onConflict: String?

    mutating func validate() throws {
        guard !write || !readOnly else {
            throw ValidationError("Choose one of --write and --read-only.")
        }
    }

    var given: [GivenFlag] {
        collect(
            [("on-conflict", onConflict)],
            switches: [
                ("write", write), ("read-only", readOnly), ("remove-any-type", removeAnyType),
            ])
    }
}

struct KeysFileFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Options, one 'name = value' a line, named as these flags; flags and -o win over it.",
            valueName: "FILE"))
    var config: String?
}
