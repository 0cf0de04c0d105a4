// What a user may do with the keys of a topic exchange (RabbitMQ: "Topic Authorisation"), on top of the permissions
// that it has for the exchange. Where nothing is set for an exchange, all keys are free.

/// Which keys of a topic exchange a user may publish with, and bind with.
public struct TopicPermission: Hashable, Sendable {
    /// Whose it is.
    public var user: UserName
    /// Where it counts.
    public var vhost: VirtualHostName
    /// The exchange. It need not be there, and counts for nothing while it is of another type.
    public var exchange: ExchangeName
    /// The keys that the user may publish with: a regular expression, found anywhere in a key; an empty one is found in
    /// the empty key only. `{username}` and `{vhost}` in it stand for these names.
    public var write: String
    /// The keys of the bindings that the user may make and remove.
    public var read: String

    /// A permission of these parts.
    public init(
        _ user: UserName, in vhost: VirtualHostName = .default, exchange: ExchangeName, write: String,
        read: String
    ) {
        self.user = user
        self.vhost = vhost
        self.exchange = exchange
        self.write = write
        self.read = read
    }
}

/// A topic permission that is ready for use.
struct ActiveTopicPermission {
    let permission: TopicPermission
    /// `nil` is found in no key.
    private let write: NamePattern?
    private let read: NamePattern?

    /// Compiles the patterns. Throws 406 that says which one can't be understood, and where.
    init(_ permission: TopicPermission) throws(BrokerError) {
        self.permission = permission
        write = try Self.pattern(permission.write, .write, of: permission)
        read = try Self.pattern(permission.read, .read, of: permission)
    }

    /// One from the file. Patterns that can no longer be understood allow nothing.
    init(recovered permission: TopicPermission) {
        self.permission = permission
        write = try? Self.pattern(permission.write, .write, of: permission)
        read = try? Self.pattern(permission.read, .read, of: permission)
    }

    /// True where the user may do that with this key.
    func allows(_ right: Right, _ key: String) -> Bool {
        switch right {
        case .write: write?.matches(key) ?? false
        case .read: read?.matches(key) ?? false
        case .configure: true
        }
    }

    private static func pattern(
        _ source: String, _ right: Right, of permission: TopicPermission
    ) throws(BrokerError) -> NamePattern {
        var text = source.isEmpty ? "^$" : source
        // Of MQTT's clients, of whom there are none here: it stands for nothing.
        for (variable, value) in [
            ("{username}", permission.user.rawValue), ("{vhost}", permission.vhost.rawValue),
            ("{client_id}", "{client_id}"),
        ] {
            text = replace(variable, in: text, by: literal(value))
        }
        do throws(BrokerError) { return try NamePattern(text) } catch {
            throw BrokerError(error.code, "\(right.rawValue): \(error.text)")
        }
    }

    private static func replace(_ variable: String, in text: String, by value: String) -> String {
        var result = ""
        var rest = text[...]
        while let range = rest.firstRange(of: variable) {
            result += rest[..<range.lowerBound] + value
            rest = rest[range.upperBound...]
        }
        return result + rest
    }

    /// A name as a pattern for nothing but itself: one that holds `.*` is no way round the pattern.
    private static func literal(_ name: String) -> String {
        var literal = ""
        for scalar in name.unicodeScalars {
            if ##"\.[]*+?{}()|^$"##.unicodeScalars.contains(scalar) { literal += "\\" }
            literal.unicodeScalars.append(scalar)
        }
        return literal
    }
}
