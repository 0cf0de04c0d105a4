// The entries of a definitions file, sorted by virtual host, what Leveret has nothing for, and the fields of each entry
// with errors that name it.

/// The lists of a definitions file that are of one virtual host.
struct DefinitionsParts {
    /// Its name.
    let vhost: String
    private(set) var permissions: [DefinitionEntry] = []
    private(set) var topicPermissions: [DefinitionEntry] = []
    private(set) var exchanges: [DefinitionEntry] = []
    private(set) var queues: [DefinitionEntry] = []
    private(set) var bindings: [DefinitionEntry] = []
    private(set) var policies: [DefinitionEntry] = []
    private(set) var operatorPolicies: [DefinitionEntry] = []
    /// What it may have at most.
    private(set) var limits: [DefinitionEntry] = []

    private init(_ vhost: String, of all: DefinitionEntries) {
        self.vhost = vhost
        func own(_ entries: [DefinitionEntry]) -> [DefinitionEntry] {
            entries.filter { ($0.vhost ?? all.here) == vhost }
        }
        permissions = own(all.permissions)
        topicPermissions = own(all.topicPermissions)
        exchanges = own(all.exchanges)
        queues = own(all.queues)
        bindings = own(all.bindings)
        policies = own(all.policies)
        operatorPolicies = own(all.operatorPolicies)
        limits = own(all.limits)
    }

    /// Sorts a file; see `DefinitionsPlan`. Returns its users, which are of no virtual host, its virtual hosts by name,
    /// and what is left out, a sentence each.
    static func read(
        _ file: JSON, vhost: String?
    ) throws(Failure) -> (users: [DefinitionEntry], parts: [DefinitionsParts], notes: [String]) {
        // A file of a single virtual host doesn't name it.
        let entries = try DefinitionEntries(file, here: vhost ?? "/")
        var notes = entries.notes
        guard let vhost else {
            let parts = entries.virtualHosts.map { DefinitionsParts($0, of: entries) }
            return (entries.users, parts, notes)
        }
        guard entries.declared.isEmpty || entries.virtualHosts.contains(vhost) else {
            throw Failure(
                .notFound, "the file has nothing of virtual host '\(vhost.printable)'; nothing was imported")
        }
        let others = entries.declared.count { ($0.vhost ?? vhost) != vhost }
        if others > 0 { notes.append("\(counted(others, "definition")) of other virtual hosts left out") }
        if !entries.users.isEmpty {
            notes.append("\(counted(entries.users.count, "user")) left out: they are of no virtual host")
        }
        return ([], [DefinitionsParts(vhost, of: entries)], notes)
    }
}

/// The entries of a whole file.
private struct DefinitionEntries {
    let users: [DefinitionEntry]
    let permissions: [DefinitionEntry]
    let topicPermissions: [DefinitionEntry]
    let exchanges: [DefinitionEntry]
    let queues: [DefinitionEntry]
    let bindings: [DefinitionEntry]
    let policies: [DefinitionEntry]
    let operatorPolicies: [DefinitionEntry]
    let limits: [DefinitionEntry]
    /// Those that the file names by themselves.
    private let named: [DefinitionEntry]
    /// Of which virtual host that is which doesn't say so.
    let here: String
    /// What is left out, a sentence each.
    private(set) var notes: [String] = []

    private static let lists = [
        "exchanges", "queues", "bindings", "policies", "parameters", "users", "permissions",
    ]

    init(_ file: JSON, here: String) throws(Failure) {
        guard Self.lists.contains(where: { file[$0] != nil }) else {
            throw Failure(
                .refused,
                "this is no definitions file: it has none of \(Self.lists.joined(separator: ", ")); "
                    + "nothing was imported"
            )
        }
        self.here = here
        named = try Self.entries("vhosts", in: file)
        users = try Self.entries("users", in: file)
        permissions = try Self.entries("permissions", in: file)
        topicPermissions = try Self.entries("topic_permissions", in: file)
        exchanges = try Self.entries("exchanges", in: file)
        queues = try Self.entries("queues", in: file)
        bindings = try Self.entries("bindings", in: file)
        policies = try Self.entries("policies", in: file)
        let parameters = try Self.entries("parameters", in: file)
        operatorPolicies = try parameters.filter { $0.component == "operator_policy" }.map {
            (entry) throws(Failure) in try entry.operatorPolicy()
        }
        limits = parameters.filter { $0.component == VirtualHostSetting.component }
        for entry in named { _ = try entry.text("name") }
        for parameter in parameters
        where !["operator_policy", VirtualHostSetting.component].contains(parameter.component) {
            notes.append(
                "\(parameter.name) of '\((parameter.component ?? "?").printable)' is left out: this version has none"
            )
        }
    }

    private static func entries(_ list: String, in file: JSON) throws(Failure) -> [DefinitionEntry] {
        switch file[list] {
        case nil, .null: return []
        case .array(let values):
            return values.enumerated().map {
                DefinitionEntry(list: list, place: $0.offset + 1, json: $0.element)
            }
        default:
            throw Failure(.refused, "'\(list)' of the definitions file must be a list; nothing was imported")
        }
    }

    /// All that is of a virtual host.
    var declared: [DefinitionEntry] {
        exchanges + queues + bindings + policies + operatorPolicies + limits + permissions
            + topicPermissions
    }

    /// The names of all virtual hosts of the file.
    var virtualHosts: [String] {
        let names = named.compactMap { $0.json["name"]?.text } + declared.map { $0.vhost ?? here }
        return Set(names).sorted()
    }

}

/// One entry of a definitions file.
struct DefinitionEntry {
    /// The list that it stands in.
    var list: String
    /// Its place there, from 1.
    var place: Int
    var json: JSON

    /// The virtual host that it is of; `nil` where the file doesn't say.
    var vhost: String? { json["vhost"]?.text }
    /// What a parameter is for.
    var component: String? { json["component"]?.text }

    /// As sentences name it.
    var name: String {
        let noun =
            switch list {
            case "policies": "policy"
            case "operator policies": "operator policy"
            default: String(list.dropLast())
            }
        if list == "bindings", let source = json["source"]?.text, let target = json["destination"]?.text {
            let kind = json["destination_type"]?.text ?? "queue"
            let key = json["routing_key"]?.text ?? ""
            let with = key.isEmpty ? "" : " with '\(key.printable)'"
            return
                "binding of exchange '\(source.printable)' to \(kind.printable) '\(target.printable)'\(with)"
        }
        if list == "permissions", let user = json["user"]?.text {
            return "permission of user '\(user.printable)'"
        }
        if list == "topic_permissions", let user = json["user"]?.text {
            let exchange = json["exchange"]?.text ?? "?"
            return "topic permission of user '\(user.printable)' for exchange '\(exchange.printable)'"
        }
        return json["name"]?.text.map { "\(noun) '\($0.printable)'" } ?? "\(noun) \(place) of the file"
    }

    /// A parameter that is an operator policy, as the policy that it is.
    func operatorPolicy() throws(Failure) -> DefinitionEntry {
        guard case .object(let value)? = json["value"] else { throw wrong("value", "an object") }
        let outer = ["name", "vhost"].compactMap { name in
            json[name].map { JSON.Field(name: name, value: $0) }
        }
        return DefinitionEntry(list: "operator policies", place: place, json: .object(outer + value))
    }

    /// The text of a field, which must be there unless `fallback` is given.
    func text(_ field: String, or fallback: String? = nil) throws(Failure) -> String {
        if let text = json[field]?.text { return text }
        guard json[field] == nil, let fallback else { throw wrong(field, "a string") }
        return fallback
    }

    func flag(_ field: String, or fallback: Bool) throws(Failure) -> Bool {
        switch json[field] {
        case nil: return fallback
        case .bool(let flag): return flag
        default: throw wrong(field, "true or false")
        }
    }

    func number(_ field: String, or fallback: Int) throws(Failure) -> Int {
        guard let value = json[field] else { return fallback }
        guard let number = value.int else { throw wrong(field, "a whole number") }
        return number
    }

    /// The fields of an object; older versions of RabbitMQ write an empty one as a list.
    func fields(_ field: String) throws(Failure) -> [JSON.Field] {
        switch json[field] {
        case nil, .array([]): return []
        case .object(let fields): return fields
        default: throw wrong(field, "an object")
        }
    }

    /// The error for a field that is not what it must be.
    func wrong(_ field: String, _ expected: String) -> Failure {
        let found = json[field].map { "is \($0.compact.clipped(to: 60).printable)" } ?? "is missing"
        return Failure(.refused, "\(name): '\(field)' \(found); it must be \(expected); nothing was imported")
    }
}
