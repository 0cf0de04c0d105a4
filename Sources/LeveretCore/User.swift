// Users as values: who may log in, what their tags and permissions are, and what administrators ask for. The core
// carries the text that stands for a password and never looks into it; LeveretServer makes and checks it.

/// The name of a user. 1 to 255 bytes of UTF-8.
public struct UserName: Hashable, Comparable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// The name as a client writes it.
    public var rawValue: String

    /// The user called `rawValue`.
    public init(_ rawValue: String) { self.rawValue = rawValue }

    /// A name written as a literal.
    public init(stringLiteral value: String) { rawValue = value }

    /// The name as a client writes it.
    public var description: String { rawValue }

    /// Names are equal where their bytes are.
    public static func == (a: Self, b: Self) -> Bool { a.rawValue.hasSameBytes(as: b.rawValue) }

    /// Orders names by their bytes.
    public static func < (a: Self, b: Self) -> Bool { a.rawValue.precedesByBytes(b.rawValue) }
}

/// The tags that mean something (RabbitMQ: "Access Control", "Management: Permissions"). A user may have others.
public enum UserTag: String, Hashable, Sendable, CaseIterable {
    /// Sees the topology and the state of the virtual hosts in which it has permissions.
    case management
    /// That, and sets policies.
    case policymaker
    /// What `management` may, and sees connections.
    case monitoring
    /// Everything that is not a message: users, permissions, policies, connections, SQL.
    case administrator
    /// May publish messages whose property `user-id` names somebody else.
    case impersonator
}

/// How much a user may have open at one time (RabbitMQ: "Per-User Limits").
public struct UserLimits: Hashable, Sendable {
    /// Connections; `nil` is as many as it likes.
    public var connectionsMax: Int?
    /// Sessions over all its connections (RabbitMQ's channels); `nil` is as many as it likes.
    public var sessionsMax: Int?

    /// These limits.
    public init(connectionsMax: Int? = nil, sessionsMax: Int? = nil) {
        self.connectionsMax = connectionsMax
        self.sessionsMax = sessionsMax
    }
}

/// A user as the database keeps it.
public struct UserDefinition: Hashable, Sendable {
    /// Its name.
    public var name: UserName
    /// What stands for its password, at most 1,024 bytes; with an empty one nobody can log in by a password.
    public var passwordHash: String
    /// Its tags, each once, in order; see `UserTag`. At most 32, of 1 to 255 bytes.
    public var tags: [String]
    /// What it may have open.
    public var limits = UserLimits()

    /// A user of these parts.
    public init(
        _ name: UserName, passwordHash: String, tags: [String] = [], limits: UserLimits = UserLimits()
    ) {
        self.name = name
        self.passwordHash = passwordHash
        self.tags = Array(Set(tags)).sorted { $0.precedesByBytes($1) }
        self.limits = limits
    }
}

/// What a user may do in a virtual host: three regular expressions, found anywhere in a name; an empty one is found in
/// none (RabbitMQ: "Access Control").
public struct UserPermission: Hashable, Sendable {
    /// Whose it is.
    public var user: UserName
    /// Where it counts.
    public var vhost: VirtualHostName
    /// The queues and exchanges that the user may declare and delete.
    public var configure: String
    /// Those that it may publish to, and whose bindings lead to them it may make.
    public var write: String
    /// Those that it may take messages from, and whose bindings lead from them it may make.
    public var read: String

    /// A permission of these parts.
    public init(
        _ user: UserName, in vhost: VirtualHostName = .default, configure: String, write: String, read: String
    ) {
        self.user = user
        self.vhost = vhost
        self.configure = configure
        self.write = write
        self.read = read
    }
}

/// What is asked about users. Only administrators may, and whoever has no user at all.
public enum UserRequest: Hashable, Sendable {
    /// Adds a user; refused with 406 where there is one of its name.
    case add(UserDefinition)
    /// Adds a user, or replaces password and tags of the one of its name.
    case put(UserDefinition)
    /// Gives a user another password. Open connections stay.
    case setPassword(UserName, hash: String)
    /// Gives a user other tags.
    case setTags(UserName, [String])
    /// Limits what a user may have open; what is open stays.
    case setLimits(UserName, UserLimits)
    /// Deletes a user and its permissions, and closes its connections; deleting one that isn't there changes nothing.
    case delete(UserName)
    /// Sets or replaces a user's permission in a virtual host. Consumers that it no longer allows end.
    case permit(UserPermission)
    /// Takes a user's permission in a virtual host away; taking one that isn't there changes nothing.
    case forbid(UserName, in: VirtualHostName)
    /// Sets or replaces which keys of a topic exchange a user may use. Bindings that are there stay.
    case permitTopics(TopicPermission)
    /// Leaves the keys of an exchange free to a user, or of every exchange of the virtual host; where nothing is set,
    /// nothing is changed.
    case freeTopics(UserName, in: VirtualHostName, exchange: ExchangeName?)
    /// Every user with what stands for its password; answered by `.userDefinitions`.
    case export
}

/// A user as listings show it.
public struct UserInfo: Hashable, Sendable {
    /// Its name.
    public var name: UserName
    /// Its tags, in order.
    public var tags: [String]
    /// What it may have open.
    public var limits: UserLimits
    /// Its open connections.
    public var connections: Int
    /// Their sessions.
    public var sessions: Int

    /// A row of these parts.
    public init(name: UserName, tags: [String], limits: UserLimits, connections: Int, sessions: Int) {
        self.name = name
        self.tags = tags
        self.limits = limits
        self.connections = connections
        self.sessions = sessions
    }
}
