// Users and permissions of definitions files, both ways. What stands for passwords comes and goes unchanged: RabbitMQ's
// hashes, and scrypt's, which only Leveret reads.

import Leveret
import LeveretServer

extension DefinitionsPlan {
    /// Adds a user.
    mutating func addUser(_ entry: DefinitionEntry) throws(Failure) {
        let name = try entry.text("name")
        let hash = try passwordHash(entry)
        if hash.isEmpty {
            notes.append(
                "\(entry.name) has no password, and can't log in until 'leveret user passwd' gives it one")
        } else if name == "guest" {
            notes.append(
                "\(entry.name) comes with its password, which may be known to everybody: as by RabbitMQ it is "
                    + "taken on the server's machine only; change it, or delete the user")
        }
        let tags = try entry.tags()
        let request = LineRequest("USER").word("import").argument(name).option("hash", hash)
        steps.append(
            Step(
                name: entry.name, kind: .user,
                request: request.option("tags", tags.isEmpty ? nil : tags.joined(separator: ","))))
        let limits = try entry.fields("limits")
        guard !limits.isEmpty else { return }
        var limit = LineRequest("USER").word("limit").argument(name)
        for field in limits {
            guard let count = field.value.int else { throw entry.wrong("limits", "an object of numbers") }
            // RabbitMQ writes -1 for none.
            switch field.name {
            case "max-connections": limit = limit.option("max-connections", count < 0 ? nil : count)
            case "max-channels": limit = limit.option("max-channels", count < 0 ? nil : count)
            default:
                notes.append("\(entry.name) has the limit '\(field.name.printable)', which is left out")
            }
        }
        steps.append(Step(name: "the limits of \(entry.name)", kind: .userLimit, request: limit))
    }

    private func passwordHash(_ entry: DefinitionEntry) throws(Failure) -> String {
        // RabbitMQ takes passwords as they are, too.
        let password = try entry.text("password", or: "")
        let text = try entry.text("password_hash", or: "")
        do throws(BrokerError) {
            if !text.isEmpty {
                let algorithm = entry.json["hashing_algorithm"]?.text
                return try PasswordHash(definition: text, algorithm: algorithm).text
            }
            return password.isEmpty ? "" : try PasswordHash(of: Array(password.utf8)).text
        } catch {
            throw Failure(.refused, "\(entry.name): \(error.text); nothing was imported")
        }
    }

    /// Adds what a user may do in a virtual host.
    mutating func addPermission(_ entry: DefinitionEntry, in vhost: String) throws(Failure) {
        let request = LineRequest("PERMISSION").word("set").argument(try entry.text("user"))
            .argument(vhost).argument(try entry.text("configure"))
            .argument(try entry.text("write")).argument(try entry.text("read"))
        steps.append(Step(name: entry.name, kind: .permission, request: request))
    }

    /// Adds which keys of an exchange a user may use.
    mutating func addTopicPermission(_ entry: DefinitionEntry, in vhost: String) throws(Failure) {
        let request = LineRequest("PERMISSION").word("set-topics").argument(try entry.text("user"))
            .argument(vhost).argument(try entry.text("exchange"))
            .argument(try entry.text("write")).argument(try entry.text("read"))
        steps.append(Step(name: entry.name, kind: .topicPermission, request: request))
    }
}

extension DefinitionEntry {
    /// A list, or before RabbitMQ 3.9 one text with commas.
    fileprivate func tags() throws(Failure) -> [String] {
        switch json["tags"] {
        case nil: return []
        case .string(let text): return text.split(separator: ",").map(String.init)
        case .array(let tags):
            let texts = tags.compactMap(\.text)
            guard texts.count == tags.count else { throw wrong("tags", "a list of strings") }
            return texts
        default: throw wrong("tags", "a list of strings")
        }
    }
}

extension DefinitionsWriter {
    /// The entries of `users`. Who is no administrator is told that they are left out.
    static func users(of source: any Source) throws -> [JSON] {
        var users: [JSON] = []
        try source.users { row in
            var fields = [JSON.Field(name: "name", value: row["name"] ?? .null)]
            let text = row["hash"]?.text ?? ""
            if text.isEmpty {
                fields.append(JSON.Field(name: "password_hash", value: .string("")))
            } else {
                let hash = try PasswordHash(text).definition
                fields.append(JSON.Field(name: "password_hash", value: .string(hash.text)))
                fields.append(JSON.Field(name: "hashing_algorithm", value: .string(hash.algorithm)))
            }
            fields.append(JSON.Field(name: "tags", value: row["tags"] ?? .array([])))
            let limits = [("max-connections", "max_connections"), ("max-channels", "max_channels")]
                .compactMap { name, field in
                    row[field]?.int.map { JSON.Field(name: name, value: .int($0)) }
                }
            fields.append(JSON.Field(name: "limits", value: .object(limits)))
            users.append(.object(fields))
        }
        return users
    }

    /// Users and permissions, or of a virtual host only its permissions; none where only administrators may see them,
    /// which is said.
    static func people(
        of source: any Source, vhost: String?
    ) throws -> (users: [JSON], permissions: [JSON], topicPermissions: [JSON]) {
        do {
            var permissions: [JSON] = []
            var topics: [JSON] = []
            try source.permissions { permissions.append($0) }
            try source.topicPermissions { topics.append($0) }
            guard let vhost else { return (try users(of: source), permissions, topics) }
            func isThere(_ row: JSON) -> Bool { row["vhost"]?.text == vhost }
            return ([], permissions.filter(isThere), topics.filter(isThere))
        } catch let failure as Failure where failure.status == .refused {
            Terminal.complain("leveret: users and permissions are left out: \(failure.text)")
            return ([], [], [])
        }
    }
}
