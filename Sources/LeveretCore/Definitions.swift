// The topology as clients declare it and the store keeps it.

/// How an exchange picks its bindings (AMQP 0-9-1 §3.1.3).
public enum ExchangeType: String, Sendable, Hashable, CaseIterable {
    /// The routing key equals the binding's.
    case direct
    /// Every binding matches.
    case fanout
    /// The routing key's words match the binding's pattern: `*` is one word, `#` any number.
    case topic
    /// The message's headers match the binding's arguments.
    case headers
    /// Routes as its argument `x-delayed-type` says. The name is that of RabbitMQ's plugin; the header `x-delay`
    /// delays a message through any exchange.
    case delayed = "x-delayed-message"

    /// The types that a delayed exchange may route as.
    static let routing: [ExchangeType] = [.direct, .fanout, .topic, .headers]
}

/// Everything that makes two declarations of an exchange equal.
public struct ExchangeDefinition: Hashable, Sendable {
    /// Not empty; the default exchange can't be declared.
    public var name: ExchangeName
    /// How it routes.
    public var type: ExchangeType
    /// Survives a restart.
    public var isDurable: Bool
    /// Deleted when its last binding goes.
    public var isAutoDelete: Bool
    /// Takes messages from other exchanges only.
    public var isInternal: Bool
    /// `alternate-exchange` and whatever else the client gave.
    public var arguments: FieldTable

    /// An exchange of this kind.
    public init(
        _ name: ExchangeName, type: ExchangeType = .direct, durable: Bool = true, autoDelete: Bool = false,
        internal isInternal: Bool = false, arguments: FieldTable = FieldTable()
    ) {
        self.name = name
        self.type = type
        isDurable = durable
        isAutoDelete = autoDelete
        self.isInternal = isInternal
        self.arguments = arguments
    }
}

extension ExchangeDefinition {
    /// How it routes: one of the four types.
    var routingType: ExchangeType {
        guard type == .delayed else { return type }
        guard case .string(let name)? = arguments[ExchangeArgument.delayedType] else { return .direct }
        return ExchangeType.routing.first { $0.rawValue == name } ?? .direct
    }
}

/// Everything that makes two declarations of a queue equal.
public struct QueueDefinition: Hashable, Sendable {
    /// Empty asks for a name made by the server (`amq.gen-…`).
    public var name: QueueName
    /// Survives a restart, and with it its persistent messages.
    public var isDurable: Bool
    /// Belongs to the connection that declared it and goes with it.
    public var isExclusive: Bool
    /// Deleted when its last consumer goes, once it had one.
    public var isAutoDelete: Bool
    /// `x-message-ttl`, `x-dead-letter-exchange` …: see `QueueSettings`.
    public var arguments: FieldTable

    /// A queue of this kind.
    public init(
        _ name: QueueName, durable: Bool = true, exclusive: Bool = false, autoDelete: Bool = false,
        arguments: FieldTable = FieldTable()
    ) {
        self.name = name
        isDurable = durable
        isExclusive = exclusive
        isAutoDelete = autoDelete
        self.arguments = arguments
    }
}

/// Where a binding leads.
public enum BindingTarget: Hashable, Sendable {
    /// Messages end there.
    case queue(QueueName)
    /// Messages are routed on from there.
    case exchange(ExchangeName)
}

/// A rule by which an exchange hands messages on.
public struct Binding: Hashable, Sendable {
    /// The exchange that holds the rule.
    public var source: ExchangeName
    /// Where a match leads.
    public var target: BindingTarget
    /// The routing key, or the pattern of a topic exchange.
    public var routingKey: String
    /// What a headers exchange compares.
    public var arguments: FieldTable

    /// A rule of `source`.
    public init(
        source: ExchangeName, target: BindingTarget, routingKey: String = "",
        arguments: FieldTable = FieldTable()
    ) {
        self.source = source
        self.target = target
        self.routingKey = routingKey
        self.arguments = arguments
    }

    /// Rules are equal where all their parts are, keys by their bytes.
    public static func == (a: Self, b: Self) -> Bool {
        a.source == b.source && a.target == b.target && a.routingKey.hasSameBytes(as: b.routingKey)
            && a.arguments == b.arguments
    }
}
