import Glibc

/// Where an embedded store lives when the command line names no source.
enum DefaultPlace {
    /// `/var/lib/apusfs/VOLUME` for root; for others `$XDG_DATA_HOME/apusfs/VOLUME`, with
    /// `~/.local/share` as the XDG base directory specification has it.
    static func source(
        volume: String, userID: UInt32, environment: [String: String]
    ) throws(CommandFailure) -> Source {
        if userID == 0 { return Source(.embedded(directory: "/var/lib/apusfs/\(volume)")) }
        if let base = environment["XDG_DATA_HOME"], base.hasPrefix("/") {
            return Source(.embedded(directory: "\(base)/apusfs/\(volume)"))
        }
        guard let home = environment["HOME"], home.hasPrefix("/") else {
            throw CommandFailure(
                "no source is named and HOME is not set: name one, as in file:DIR", status: .usage)
        }
        return Source(.embedded(directory: "\(home)/.local/share/apusfs/\(volume)"))
    }

    /// A directory of a source as an absolute path, so that it means the same in the daemon, whose
    /// working directory is `/`.
    static func absolute(_ source: Source, workingDirectory: String) -> Source {
        guard case .embedded(let directory) = source.place, !directory.hasPrefix("/") else {
            return source
        }
        var absolute = source
        absolute.place = .embedded(directory: "\(workingDirectory)/\(directory)")
        return absolute
    }
}
