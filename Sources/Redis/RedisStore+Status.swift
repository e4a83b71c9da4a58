public import KeyValue

extension RedisStore {
    public func status() throws(StoreError) -> StoreStatus {
        try exchanges.withExchange(deadline: deadline()) { exchange throws(StoreError) in
            for section in ["server", "memory", "persistence", "replication"] as [StaticString] {
                exchange.commands.begin("INFO", arguments: 2)
                exchange.commands.add(section)
            }
            exchange.commands.begin("CONFIG", arguments: 4)
            exchange.commands.add("GET")
            exchange.commands.add("save")
            exchange.commands.add("appendfsync")
            try call(exchange, on: metadataLane)
            // A user may be forbidden to ask: then that part is not known.
            var text = Bytes()
            var isInformed = false
            for case .bulk(let section) in exchange.replies {
                text += section
                isInformed = true
            }
            var settings: [String: String] = [:]
            if case .array(let words)? = exchange.replies.last {
                for index in stride(from: 0, to: words.count - 1, by: 2) {
                    guard case .bulk(let name) = words[index],
                        case .bulk(let value) = words[index + 1]
                    else { continue }
                    settings[String(decoding: name, as: UTF8.self)] =
                        String(decoding: value, as: UTF8.self)
                }
            }
            return Self.status(
                isInformed ? RedisInformation(text) : nil, settings: settings, greeting)
        }
    }

    /// What is not known is taken for the worse.
    static func status(
        _ information: RedisInformation?, settings: [String: String], _ greeting: RedisGreeting
    ) -> StoreStatus {
        let limit = information?.number("maxmemory") ?? 0
        let policy = information?["maxmemory_policy"]
        let isReplica = information?["role"].map { $0 == "slave" } ?? greeting.isReplica
        var status = StoreStatus(
            product: "redis \(information?["redis_version"] ?? greeting.version)",
            usedBytes: information?.limitedMemory ?? 0, limitBytes: limit,
            machineBytes: information?.number("total_system_memory") ?? 0,
            mayEvict: policy != "noeviction" && (information == nil || limit > 0),
            persistence: persistence(
                isLogging: information?["aof_enabled"] == "1", settings: settings),
            isReadOnly: isReplica && information?["slave_read_only"] != "0",
            replicas: Int(clamping: information?.number("connected_slaves") ?? 0))
        status.isClusterNode = information?["redis_mode"] == "cluster"
        return status
    }

    private static func persistence(
        isLogging: Bool, settings: [String: String]
    ) -> StoreStatus.Persistence {
        if isLogging {
            switch settings["appendfsync"] {
            case "always": return .always
            // Without fsync by Redis the kernel writes within half a minute: what a snapshot promises.
            case "no": return .snapshots
            default: return .everySecond
            }
        }
        guard let save = settings["save"], !save.isEmpty else { return .none }
        return .snapshots
    }
}
