// A definitions file as RabbitMQ writes it (`rabbitmqctl export_definitions`), from what a server or a database file
// lists. DefinitionsReader reads it back.

import Leveret

/// The settings of policies, by their names in definitions files: RabbitMQ leaves out the `x-` of arguments there.
enum PolicySetting {
    private static let arguments = Set(QueueArgument.settable + ExchangeArgument.settable)

    /// The argument that a setting stands for; `nil` for one that Leveret doesn't have.
    static func argument(of setting: String) -> String? {
        [setting, "x-" + setting].first { arguments.contains($0) }
    }

    /// The setting of an argument.
    static func name(of argument: String) -> String {
        argument.hasPrefix("x-") ? String(argument.dropFirst(2)) : argument
    }
}

/// The limits of virtual hosts, as definitions files have them.
enum VirtualHostSetting {
    /// The component of the parameters that hold them.
    static let component = "vhost-limits"
    /// What Leveret has.
    static let names = ["max-queues", "max-connections"]
}

/// The lists of a definitions file.
private struct DefinitionLists {
    var vhosts: [JSON] = []
    var parameters: [JSON] = []
    var policies: [JSON] = []
    var queues: [JSON] = []
    var exchanges: [JSON] = []
    var bindings: [JSON] = []
}

/// Writes definitions files.
enum DefinitionsWriter {
    /// The version of RabbitMQ whose format it is, for those who read it.
    private static let formatVersion = "4.0.0"

    /// Everything that was declared and does not go with a connection, in RabbitMQ's form.
    ///
    /// - Parameter vhost: Only what is of this virtual host; `nil` is all.
    static func document(of source: any Source, vhost: String?) throws -> JSON {
        var lists = DefinitionLists()
        var hosts: [JSON] = []
        try source.virtualHosts(match: nil) { row in
            if vhost == nil || row["name"]?.text == vhost { hosts.append(row) }
        }
        if let vhost, hosts.isEmpty {
            let text = "no vhost '\(vhost.printable)'"
            throw Failure(Reply.Refusal(code: 404, name: "NOT_FOUND", text: text))
        }
        for host in hosts {
            let name = host["name"]?.text ?? ""
            lists.vhosts.append(.object([JSON.Field(name: "name", value: .string(name))]))
            try add(try source.entering(name), to: &lists)
            if let limits = limits(host, of: name) { lists.parameters.append(limits) }
        }
        let people = try people(of: source, vhost: vhost)
        return .object([
            JSON.Field(name: "rabbit_version", value: .string(formatVersion)),
            JSON.Field(name: "rabbitmq_version", value: .string(formatVersion)),
            JSON.Field(name: "product_name", value: .string("Leveret")),
            JSON.Field(name: "product_version", value: .string(Broker.version)),
            JSON.Field(name: "users", value: .array(people.users)),
            JSON.Field(name: "vhosts", value: .array(lists.vhosts)),
            JSON.Field(name: "permissions", value: .array(people.permissions)),
            JSON.Field(name: "topic_permissions", value: .array(people.topicPermissions)),
            JSON.Field(name: "parameters", value: .array(lists.parameters)),
            JSON.Field(name: "global_parameters", value: .array([])),
            JSON.Field(name: "policies", value: .array(lists.policies)),
            JSON.Field(name: "queues", value: .array(lists.queues)),
            JSON.Field(name: "exchanges", value: .array(lists.exchanges)),
            JSON.Field(name: "bindings", value: .array(lists.bindings)),
        ])
    }

    /// Adds what is of the virtual host that a source shows.
    private static func add(_ source: any Source, to lists: inout DefinitionLists) throws {
        let vhost = source.virtualHost
        var names: Set<String> = []
        let fields = ["name", "exclusive", "durable", "auto_delete", "arguments"]
        try source.queues(match: nil, fields: fields) { row in
            guard row["exclusive"] != .bool(true), let name = row["name"]?.text, !isOwn(name) else { return }
            names.insert(name)
            lists.queues.append(entry(row, of: vhost, ["name"], ["durable", "auto_delete", "arguments"]))
        }
        try source.exchanges(match: nil) { row in
            guard let name = row["name"]?.text, !name.isEmpty, !isOwn(name) else { return }
            lists.exchanges.append(
                entry(row, of: vhost, ["name"], ["type", "durable", "auto_delete", "internal", "arguments"]))
        }
        try source.bindings { row in
            guard let target = row["destination"]?.text, row["source"]?.text?.isEmpty == false else { return }
            guard row["destination_type"]?.text != "queue" || names.contains(target) else { return }
            var row = row
            row.rename("pattern", to: "routing_key")
            lists.bindings.append(
                entry(
                    row, of: vhost, ["source"],
                    ["destination", "destination_type", "routing_key", "arguments"]))
        }
        try source.policies { row in
            if row["operator"] == .bool(true) {
                lists.parameters.append(parameter(row, of: vhost))
            } else {
                lists.policies.append(policy(row, of: vhost))
            }
        }
    }

    /// What a virtual host may have at most: RabbitMQ keeps it among the parameters.
    private static func limits(_ row: JSON, of vhost: String) -> JSON? {
        let limits = [("max-queues", "max_queues"), ("max-connections", "max_connections")].compactMap {
            setting, field in
            row[field]?.int.map { JSON.Field(name: setting, value: .int($0)) }
        }
        guard !limits.isEmpty else { return nil }
        return .object([
            JSON.Field(name: "name", value: .string("limits")),
            JSON.Field(name: "vhost", value: .string(vhost)),
            JSON.Field(name: "component", value: .string(VirtualHostSetting.component)),
            JSON.Field(name: "value", value: .object(limits)),
        ])
    }

    /// True for what a broker makes itself.
    static func isOwn(_ name: String) -> Bool { name.hasPrefix("amq.") || name.hasPrefix("leveret.") }

    /// These fields of a row, with the virtual host behind the first of them.
    private static func entry(
        _ row: JSON, of vhost: String, _ first: [String], _ rest: [String]
    ) -> JSON {
        func fields(_ names: [String]) -> [JSON.Field] {
            names.map { JSON.Field(name: $0, value: row[$0] ?? .null) }
        }
        return .object(fields(first) + [JSON.Field(name: "vhost", value: .string(vhost))] + fields(rest))
    }

    private static func policy(_ row: JSON, of vhost: String) -> JSON {
        var row = row
        row.rename("apply_to", to: "apply-to")
        return entry(settled(row), of: vhost, ["name"], ["pattern", "apply-to", "definition", "priority"])
    }

    /// An operator policy: RabbitMQ keeps them among the parameters.
    private static func parameter(_ row: JSON, of vhost: String) -> JSON {
        guard case .object(let fields) = policy(row, of: vhost) else { return .null }
        let outside: Set<String> = ["name", "vhost"]
        return .object(
            fields.filter { outside.contains($0.name) } + [
                JSON.Field(name: "component", value: .string("operator_policy")),
                JSON.Field(name: "value", value: .object(fields.filter { !outside.contains($0.name) })),
            ])
    }

    /// The row with the settings of its definition by their names in files.
    private static func settled(_ row: JSON) -> JSON {
        guard case .object(let fields) = row else { return row }
        return .object(
            fields.map { field in
                guard field.name == "definition", case .object(let settings) = field.value else {
                    return field
                }
                let named = settings.map {
                    JSON.Field(name: PolicySetting.name(of: $0.name), value: $0.value)
                }
                return JSON.Field(name: field.name, value: .object(named))
            })
    }
}

extension JSON {
    /// Gives a field of an object another name.
    fileprivate mutating func rename(_ name: String, to other: String) {
        guard case .object(let fields) = self else { return }
        self = .object(fields.map { JSON.Field(name: $0.name == name ? other : $0.name, value: $0.value) })
    }
}
