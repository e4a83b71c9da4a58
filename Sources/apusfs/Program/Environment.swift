import FoundationEssentials

/// The environment of this process.
enum Environment {
    static var all: [String: String] { ProcessInfo.processInfo.environment }

    /// What programs that this one starts get to see: everything but passwords.
    static var withoutSecrets: [String: String] {
        let secrets = PasswordSource.environmentNames + [PasswordSource.sentinelEnvironmentName]
        return all.filter { !secrets.contains($0.key) }
    }
}
