// What `policy set` says: how much obeys the policy, and where something else counts in its place.

/// How far a policy that has been set is in force.
struct PolicyReport {
    /// So many settings that don't count are told.
    private static let told = 5

    private let name: String
    private let queues: Int
    private let exchanges: Int
    /// What counts in place of the policy, as sentences.
    private let exceptions: [String]

    /// Asks how far the policy of this name is in force.
    init(_ name: String, isOperator: Bool, from source: some Source) throws {
        var policies: [JSON] = []
        var rows: [(kind: String, row: JSON)] = []
        try source.policies { policies.append($0) }
        // An operator policy only limits: what asks for less keeps it.
        if !isOperator {
            let fields = ["name", "policy", "effective", "origins"]
            try source.queues(match: nil, fields: fields) { rows.append(("queue", $0)) }
            try source.exchanges(match: nil) { rows.append(("exchange", $0)) }
        }
        self.init(name, isOperator: isOperator, policies: policies, rows: rows)
    }

    /// The same from rows of policies, and of queues and exchanges by their kind.
    init(_ name: String, isOperator: Bool, policies: [JSON], rows: [(kind: String, row: JSON)]) {
        let own = policies.first { $0.name == name && $0["operator"] == .bool(isOperator) }
        self.name = name
        queues = own?.count("queues") ?? 0
        exchanges = own?.count("exchanges") ?? 0
        guard !isOperator, case .object(let settings)? = own?["definition"] else {
            exceptions = []
            return
        }
        exceptions = rows.filter { $0.row["policy"]?.text == name }.flatMap { kind, row in
            settings.compactMap { setting -> String? in
                guard let origin = row["origins"]?[setting.name]?.text, origin != "policy '\(name)'" else {
                    return nil
                }
                let value = row.effective(setting.name)?.compact.printable ?? ""
                let what = "\(kind) '\(row.name.printable)'"
                return origin == "argument"
                    ? "\(what) was declared with \(setting.name) \(value), which counts"
                    : "\(what) has \(setting.name) \(value) from \(origin.printable)"
            }
        }
    }

    /// What a person reads.
    var text: String {
        let policy = "policy '\(name.printable)'"
        guard queues > 0 || exchanges > 0 else {
            return "\(policy) is set; no queue and no exchange has it yet"
        }
        let counts = [(queues, "queue"), (exchanges, "exchange")].filter { $0.0 > 0 }.map { counted($0, $1) }
        let more = exceptions.count - Self.told
        let lines =
            exceptions.prefix(Self.told) + (more > 0 ? ["\(Quantity.count(more)) more like these"] : [])
        return "\(policy) is in force for \(counts.joined(separator: " and "))"
            + lines.map { "\n  but \($0)" }.joined()
    }
}
