// Readers of rows: what commands ask of the objects that a server or a file lists (docs/line-protocol.md, Rows).

import Leveret

// MARK: - Any row

extension JSON {
    /// The name of what a row is about.
    var name: String { self["name"]?.text ?? "" }

    /// A whole number of a row; 0 where it isn't known.
    func count(_ name: String) -> Int { self[name]?.int ?? 0 }

    /// A moment of a row, in milliseconds since 1970.
    func time(_ name: String) -> Int64? { self[name]?.text.flatMap(Time.milliseconds) }
}

// MARK: - Rows of queues

extension JSON {
    /// In a row of a queue: an argument that counts for it.
    func effective(_ argument: String) -> JSON? { self["effective"]?[argument] }

    /// In a row of a queue: where its dead letters go; `nil` where it has no such exchange.
    var deadLetterExchange: String? { effective("x-dead-letter-exchange")?.text }

    /// In a row of a queue: the key its dead letters go with; `nil` where they keep their own.
    var deadLetterKey: String? { effective("x-dead-letter-routing-key")?.text }

    /// In a row of a queue: true where it holds only so much.
    var hasLengthLimit: Bool { effective("x-max-length") != nil || effective("x-max-length-bytes") != nil }

    /// In a row of a queue: how full it is, where that is so full that it refuses publishes.
    var refusingAt: String? {
        guard effective("x-overflow")?.text?.hasPrefix("reject-publish") == true else { return nil }
        if let most = effective("x-max-length")?.int, count("ready") >= most {
            return "\(Quantity.count(count("ready"))) of \(counted(most, "message"))"
        }
        if let most = effective("x-max-length-bytes")?.int, count("ready_bytes") >= most {
            return "\(Quantity.bytes(count("ready_bytes"))) of \(Quantity.bytes(most))"
        }
        return nil
    }

    /// A row with the virtual host that it is of.
    func inHost(_ name: String) -> JSON {
        guard case .object(let fields) = self else { return self }
        return .object([Field(name: "vhost", value: .string(name))] + fields)
    }

    /// In a row of a queue: everything that is in it.
    var messages: Int { count("ready").adding(count("unacked")).adding(count("delayed")) }
}

// MARK: - Rows of messages

extension JSON {
    /// The position of a message's row.
    var position: Int { self["position"]?.int ?? 0 }

    /// When the message of a row died first; `nil` where that isn't known.
    var firstDeath: String? { deaths.compactMap { $0["time"]?.text }.min() }

    /// When it died last; `nil` where that isn't known: of deaths in one queue for one reason the first is told.
    var lastDeath: String? {
        guard let death = deaths.first, death["count"]?.int == 1 else { return nil }
        return death["time"]?.text
    }

    private var deaths: [JSON] {
        if case .array(let deaths)? = self["deaths"] { deaths } else { [] }
    }

    /// The body of a message's row.
    var bodyBytes: [UInt8] {
        if let text = self["body"]?.text { return Array(text.utf8) }
        return self["body64"]?.text.flatMap(Base64.decode) ?? []
    }

    /// A row of EXPORT as one of PEEK, as far as pages go by it; the message itself is its `document`.
    var rowAroundDocument: JSON {
        guard case .object(let fields) = self else { return .null }
        let due = self["due"]?.int.map { JSON.string(Instant(milliseconds: Int64($0)).iso8601) }
        return .object([
            Field(name: "position", value: self["position"] ?? .null),
            Field(name: "place", value: self["place"] ?? .null),
            Field(name: "priority", value: self["properties"]?["priority"] ?? .null),
            Field(name: "due", value: due ?? .null),
            Field(
                name: "document", value: .object(fields.filter { !["position", "place"].contains($0.name) })),
        ])
    }

    /// An object with a field more at its end, or in the place of the one of its name.
    func with(_ name: String, _ value: JSON) -> JSON {
        guard case .object(var fields) = self else { return self }
        if let index = fields.firstIndex(where: { $0.name == name }) {
            fields[index].value = value
        } else {
            fields.append(Field(name: name, value: value))
        }
        return .object(fields)
    }
}
