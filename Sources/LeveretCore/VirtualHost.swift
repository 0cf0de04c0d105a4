// A virtual host: names of its own for queues, exchanges, bindings and policies (RabbitMQ: "Virtual Hosts"). What
// a session or a queue looks up by name it looks up in its own, so that nothing leads from one to another. Data;
// BrokerCore+VirtualHosts.swift makes and deletes them.

/// Identifies a virtual host for the store: `id` in the table `vhost`. One that is deleted and created again gets
/// another.
public struct VirtualHostID: Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral {
    /// The row's `id`; that of `/` is 1.
    public var rawValue: Int64

    /// The virtual host whose row has this `id`.
    public init(_ rawValue: Int64) { self.rawValue = rawValue }

    /// A number written as a literal.
    public init(integerLiteral value: Int64) { rawValue = value }

    /// Orders virtual hosts by creation.
    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }

    /// That of `/`.
    public static let `default`: VirtualHostID = 1
}

/// What a virtual host may have at most (RabbitMQ: "Virtual Host Limits").
public struct VirtualHostLimits: Hashable, Sendable {
    /// Queues (`max-queues`), from 0; `nil` is without limit.
    public var queuesMax: Int?
    /// Connections with a session in it (`max-connections`), from 0; `nil` is without limit.
    public var connectionsMax: Int?

    /// These limits.
    public init(queuesMax: Int? = nil, connectionsMax: Int? = nil) {
        self.queuesMax = queuesMax
        self.connectionsMax = connectionsMax
    }
}

/// A virtual host as listings show it.
public struct VirtualHostInfo: Hashable, Sendable {
    /// Its name.
    public var name: VirtualHostName
    /// What it may have at most.
    public var limits: VirtualHostLimits
    /// Its queues.
    public var queues = 0
    /// Ready messages over all of them.
    public var ready = 0
    /// Unacked messages over all of them.
    public var unacked = 0
    /// Delayed messages over all of them.
    public var delayed = 0
    /// Connections with a session in it.
    public var connections = 0

    /// A row for one in which there is nothing.
    public init(name: VirtualHostName, limits: VirtualHostLimits = VirtualHostLimits()) {
        self.name = name
        self.limits = limits
    }
}

/// One virtual host.
final class VirtualHost {
    let id: VirtualHostID
    let name: VirtualHostName
    var limits: VirtualHostLimits
    /// Its exchanges, bindings and names of queues.
    @exclusivity(unchecked) var topology: Topology
    /// In the order in which they count.
    var policies: [ActivePolicy] = []
    /// For how many milliseconds exchanges remember an id that deduplicate.
    var dedupExchanges: [ExchangeName: Int64] = [:]
    /// Exchanges of which ids may be remembered.
    var exchangesWithIDs: Set<ExchangeName> = []
    /// Connections with a session in it.
    var connections = 0
    /// Its name leads nowhere any more; its queues go one after another.
    var isDeleted = false

    init(id: VirtualHostID, name: VirtualHostName, limits: VirtualHostLimits = VirtualHostLimits()) {
        self.id = id
        self.name = name
        self.limits = limits
        topology = Topology(of: name)
    }
}
