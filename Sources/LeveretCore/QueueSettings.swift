// What the arguments of a queue mean. BrokerCore reads them once, when the queue is declared or recovered;
// what one argument may be, and what the error says, stands here and nowhere else.

/// What a full queue does.
public enum QueueOverflow: String, Sendable, Hashable, CaseIterable {
    /// Drops messages from its head to make room.
    case dropHead = "drop-head"
    /// Takes no new messages; their publishers are told.
    case rejectPublish = "reject-publish"
    /// As `rejectPublish`, and dead-letters what it did not take.
    case rejectPublishDLX = "reject-publish-dlx"
}

/// The typed settings of a queue.
public struct QueueSettings: Sendable, Hashable {
    /// The longest TTL and expiry, in milliseconds: 2³² − 1, nearly 50 days, as in RabbitMQ.
    public static let millisecondsMax: Int64 = 4_294_967_295

    /// How long a message may wait, in milliseconds; `nil` is for ever.
    public var messageTTLMilliseconds: Int64?
    /// After how long unused the queue is deleted, in milliseconds, at least 1; `nil` is never.
    public var expiresMilliseconds: Int64?
    /// After how long unused and empty the queue is deleted, in milliseconds, at least 1; `nil` is never.
    public var expiresIfEmptyMilliseconds: Int64?
    /// How many ready messages it holds; `nil` is without limit.
    public var lengthMax: Int64?
    /// How many body bytes of ready messages it holds; `nil` is without limit.
    public var bytesMax: Int64?
    /// What it does when it is full.
    public var overflow = QueueOverflow.dropHead
    /// Where its dead letters go; `nil` drops them.
    public var deadLetterExchange: ExchangeName?
    /// The key they get there; `nil` leaves them theirs.
    public var deadLetterRoutingKey: String?
    /// How often a message may fail before it is dead-lettered; `nil` is without limit. A queue that was declared as
    /// a quorum queue has RabbitMQ's limit where nothing else is said.
    public var deliveryLimit: Int64?
    /// What a quorum queue has for `deliveryLimit` where nothing else is said.
    static let quorumDeliveryLimit: Int64 = 20

    /// The highest priority that it tells apart, 1–255; `nil` is none at all.
    public var priorityMax: UInt8?
    /// How long a consumer or GET may hold a message unsettled, in milliseconds, at least 1; `nil` is for ever.
    public var consumerTimeoutMilliseconds: Int64?
    /// How it knows a message that it has had before; `nil` takes every one.
    public var deduplication: Deduplication?
    /// One consumer at a time gets the messages; the others stand by.
    public var isSingleActive = false

    /// When returned messages are tried again.
    public var retry = RetrySettings()

    /// The settings of a queue without arguments.
    public init() {}

    /// Nothing but the priorities that a queue's messages were stored with.
    init(priorities queue: RecoveredQueue) {
        if queue.definition.arguments[QueueArgument.priorityMax] != nil { priorityMax = .max }
    }

    /// Reads the arguments of `definition`; unknown ones are ignored. Throws 406 for a value of the wrong
    /// type or outside its range, and 540 for an argument whose meaning Leveret doesn't have; the texts name `vhost`.
    public init(
        _ definition: QueueDefinition, in vhost: VirtualHostName = .default
    ) throws(BrokerError) {
        try self.init(ArgumentReader(definition, in: vhost), isComplete: true)
    }

    /// Reads the settings of a policy, which may be a part of what counts. Throws as the other does.
    init(_ policy: Policy) throws(BrokerError) {
        try self.init(ArgumentReader(policy), isComplete: false)
    }

    /// Reads what counts for a queue in the end: parts that make no sense together are passed over.
    init(effective arguments: FieldTable, of definition: QueueDefinition) throws(BrokerError) {
        var definition = definition
        definition.arguments = arguments
        try self.init(ArgumentReader(definition), isComplete: false)
        if expiresMilliseconds != nil { expiresIfEmptyMilliseconds = nil }
        if deadLetterExchange == nil { deadLetterRoutingKey = nil }
    }

    private init(_ reader: ArgumentReader, isComplete: Bool) throws(BrokerError) {
        messageTTLMilliseconds = try reader.integer(QueueArgument.messageTTL, in: 0...Self.millisecondsMax)
        expiresMilliseconds = try reader.integer(QueueArgument.expires, in: 1...Self.millisecondsMax)
        expiresIfEmptyMilliseconds = try reader.integer(
            QueueArgument.expiresIfEmpty, in: 1...Self.millisecondsMax)
        if isComplete, expiresMilliseconds != nil, expiresIfEmptyMilliseconds != nil {
            throw BrokerError(
                .preconditionFailed,
                "invalid arg '\(QueueArgument.expiresIfEmpty)' for \(reader.entity): "
                    + "it can't stand beside '\(QueueArgument.expires)'; declare with one of them")
        }
        consumerTimeoutMilliseconds = try reader.integer(
            QueueArgument.consumerTimeout, in: 1...Self.millisecondsMax)
        lengthMax = try reader.integer(QueueArgument.lengthMax, in: 0...Int64.max)
        bytesMax = try reader.integer(QueueArgument.bytesMax, in: 0...Int64.max)
        deliveryLimit = try reader.integer(QueueArgument.deliveryLimit, in: 0...Int64.max)
        if deliveryLimit == nil, reader.isQuorum { deliveryLimit = Self.quorumDeliveryLimit }
        priorityMax = try reader.integer(QueueArgument.priorityMax, in: 1...255).map { UInt8($0) }
        deduplication = try reader.deduplication()
        isSingleActive = try reader.bool(QueueArgument.singleActive) ?? false
        if let word = try reader.word(QueueArgument.overflow, of: QueueOverflow.allCases.map(\.rawValue)) {
            overflow = QueueOverflow(rawValue: word) ?? .dropHead
        }
        retry = try RetrySettings(reader, isComplete: isComplete)
        deadLetterExchange = try reader.name(QueueArgument.deadLetterExchange).map { ExchangeName($0) }
        deadLetterRoutingKey = try reader.name(QueueArgument.deadLetterRoutingKey)
        if isComplete, deadLetterRoutingKey != nil, deadLetterExchange == nil {
            throw BrokerError(
                .preconditionFailed,
                "invalid arg '\(QueueArgument.deadLetterRoutingKey)' for \(reader.entity): "
                    + "it needs '\(QueueArgument.deadLetterExchange)' beside it")
        }
        try reader.checkType()
    }

    /// The 406 error for declaring `received` where `current` is, naming the first thing that differs and
    /// both values; `nil` when the two are equal, arguments that mean nothing aside.
    public static func inequivalence(
        of received: QueueDefinition, to current: QueueDefinition, in vhost: VirtualHostName = .default
    )
        -> BrokerError?
    {
        let words = Inequivalence(entity: "queue '\(current.name)' in vhost '\(vhost)'")
        return words.attribute(
            "exclusive", received: "\(received.isExclusive)", current: "\(current.isExclusive)")
            ?? words.attribute(
                "durable", received: "\(received.isDurable)", current: "\(current.isDurable)")
            ?? words.attribute(
                "auto_delete", received: "\(received.isAutoDelete)", current: "\(current.isAutoDelete)")
            ?? words.arguments(
                QueueArgument.compared, received: received.arguments, current: current.arguments)
    }
}

/// Reads single arguments and says what is wrong with them.
struct ArgumentReader {
    let arguments: FieldTable
    let entity: String

    init(_ definition: QueueDefinition, in vhost: VirtualHostName = .default) {
        arguments = definition.arguments
        entity = "queue '\(definition.name)' in vhost '\(vhost)'"
    }

    init(_ policy: Policy) {
        arguments = policy.definition
        entity = "\(policy.isOperator ? "operator policy" : "policy") '\(policy.name)'"
    }

    init(headers: FieldTable) {
        arguments = headers
        entity = "a message"
    }

    init(_ definition: ExchangeDefinition, in vhost: VirtualHostName = .default) {
        arguments = definition.arguments
        entity = "exchange '\(definition.name)' in vhost '\(vhost)'"
    }

    func deduplication() throws(BrokerError) -> Deduplication? {
        let name = QueueArgument.deduplicate
        if arguments[name] == .string("while-queued") { return .whileQueued }
        if case .string? = arguments[name] {
            throw invalid(name, "while-queued, or milliseconds from 1 to \(QueueSettings.millisecondsMax)")
        }
        return try integer(name, in: 1...QueueSettings.millisecondsMax).map { .window(milliseconds: $0) }
    }

    /// A whole number in `range`; a double that is one will do.
    func integer(_ name: String, in range: ClosedRange<Int64>) throws(BrokerError) -> Int64? {
        let number: Int64?
        switch arguments[name] {
        case nil: return nil
        case .int(let value)?: number = value
        case .double(let value)?: number = FieldValue.wholeNumber(value)
        default: number = nil
        }
        guard let number, range.contains(number) else {
            let most = range.upperBound == .max ? "up" : "to \(range.upperBound)"
            throw invalid(name, "a whole number from \(range.lowerBound) \(most)")
        }
        return number
    }

    func bool(_ name: String) throws(BrokerError) -> Bool? {
        guard let value = arguments[name] else { return nil }
        guard case .bool(let bool) = value else { throw invalid(name, "true or false") }
        return bool
    }

    func word(_ name: String, of words: [String]) throws(BrokerError) -> String? {
        guard let value = arguments[name] else { return nil }
        guard case .string(let word) = value, words.contains(word) else {
            throw invalid(name, words.joined(separator: ", "))
        }
        return word
    }

    func name(_ name: String) throws(BrokerError) -> String? {
        guard let value = arguments[name] else { return nil }
        guard case .string(let text) = value, text.utf8.count <= ShortString.bytesMax else {
            throw invalid(name, "a string of at most \(ShortString.bytesMax) bytes")
        }
        return text
    }

    /// It is declared as what RabbitMQ calls a quorum queue.
    var isQuorum: Bool { arguments[QueueArgument.type] == .string("quorum") }

    /// Every queue is of one kind; `classic` and `quorum` name what it replaces, a stream is something else.
    func checkType() throws(BrokerError) {
        guard let value = arguments[QueueArgument.type] else { return }
        if value == .string("stream") {
            throw BrokerError(
                .notImplemented,
                "arg '\(QueueArgument.type)' for \(entity): streams are not implemented; "
                    + "use classic or quorum")
        }
        _ = try word(QueueArgument.type, of: ["classic", "quorum"])
    }

    /// The error for an argument that the others don't allow.
    func contradiction(_ name: String, _ why: String) -> BrokerError {
        BrokerError(.preconditionFailed, "invalid arg '\(name)' for \(entity): \(why)")
    }

    /// The error for an argument that is not what it may be.
    func invalid(_ name: String, _ expected: String) -> BrokerError {
        let given = arguments[name].map { "'\($0.shown)' of type '\($0.typeName)'" } ?? "none"
        return BrokerError(
            .preconditionFailed, "invalid arg '\(name)' for \(entity): \(given); expected \(expected)")
    }
}
