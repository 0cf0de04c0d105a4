// Policies: settings for queues and exchanges whose names match a pattern, changed while these are in use. Here is
// what a policy may say, and which of arguments, policy and operator policy counts. BrokerCore+Policies.swift
// applies them.

/// What a policy is for, in RabbitMQ's words.
public enum PolicyTarget: String, Hashable, Sendable, CaseIterable {
    /// Queues and exchanges.
    case all
    /// Queues.
    case queues
    /// Exchanges, but never the default exchange.
    case exchanges
    /// Queues that weren't declared as quorum queues.
    case classicQueues = "classic_queues"
    /// Queues that were declared with the `x-queue-type` quorum.
    case quorumQueues = "quorum_queues"

    /// The settings that it knows.
    var settable: [String] {
        switch self {
        case .all:
            QueueArgument.settable + ExchangeArgument.settable.filter { !QueueArgument.settable.contains($0) }
        case .exchanges: ExchangeArgument.settable
        case .queues, .classicQueues, .quorumQueues: QueueArgument.settable
        }
    }

    /// True where it may be for a queue with this definition.
    func includes(_ queue: QueueDefinition) -> Bool {
        switch self {
        case .all, .queues: true
        case .exchanges: false
        case .classicQueues: !ArgumentReader(queue).isQuorum
        case .quorumQueues: ArgumentReader(queue).isQuorum
        }
    }

    /// True where it may be for exchanges.
    var includesExchanges: Bool { self == .all || self == .exchanges }
}

/// Settings for all queues and exchanges whose names match a pattern.
public struct Policy: Hashable, Sendable {
    /// Its name; operator policies have names of their own.
    public var name: String
    /// Whose settings they are: a regular expression that is found anywhere in the name.
    public var pattern: String
    /// Whether it is for queues, exchanges or both.
    public var appliesTo: PolicyTarget
    /// Of several that match, the one of the highest priority counts, then the first by name.
    public var priority: Int32
    /// It limits what clients and other policies ask for.
    public var isOperator: Bool
    /// The settings, by the names of arguments; of those that only a queue or only an exchange has, the others
    /// take no notice.
    public var definition: FieldTable

    /// A policy with these settings.
    public init(
        _ name: String, pattern: String, appliesTo: PolicyTarget = .all, priority: Int32 = 0,
        isOperator: Bool = false, definition: FieldTable
    ) {
        self.name = name
        self.pattern = pattern
        self.appliesTo = appliesTo
        self.priority = priority
        self.isOperator = isOperator
        self.definition = definition
    }
}

/// A policy as listings show it.
public struct PolicyInfo: Hashable, Sendable {
    /// The policy.
    public var policy: Policy
    /// How many queues it counts for.
    public var queues: Int
    /// How many exchanges it counts for.
    public var exchanges: Int

    /// A row of these parts.
    public init(policy: Policy, queues: Int, exchanges: Int) {
        self.policy = policy
        self.queues = queues
        self.exchanges = exchanges
    }
}

/// A policy that is in force.
struct ActivePolicy: Sendable {
    let policy: Policy
    let pattern: NamePattern

    /// Throws 406 for a name, a pattern or a setting that is not allowed.
    init(_ policy: Policy) throws(BrokerError) {
        guard (1...255).contains(policy.name.utf8.count) else {
            throw BrokerError(.preconditionFailed, "a policy's name has 1 to 255 bytes")
        }
        self.policy = policy
        pattern = try NamePattern(policy.pattern)
        guard !policy.definition.isEmpty else {
            throw BrokerError(
                .preconditionFailed, "policy '\(policy.name)' sets nothing; name at least one setting")
        }
        let settable = policy.appliesTo.settable
        for field in policy.definition.fields where !settable.contains(field.name) {
            throw BrokerError(
                .preconditionFailed,
                "policy '\(policy.name)' for \(policy.appliesTo.rawValue) can't set '\(field.name)'; it can set "
                    + settable.joined(separator: ", "))
        }
        if policy.appliesTo != .exchanges { _ = try QueueSettings(policy) }
        if policy.appliesTo.includesExchanges { _ = try ExchangeSettings(policy.seen(by: .exchange)) }
    }

    /// True where it is for this queue.
    func matches(_ queue: QueueDefinition) -> Bool {
        // What the broker keeps for itself is nobody's to change.
        policy.appliesTo.includes(queue) && !queue.name.rawValue.hasPrefix("leveret.")
            && pattern.matches(queue.name.rawValue)
    }

    /// True where it is for this exchange.
    func matches(_ exchange: ExchangeDefinition) -> Bool {
        policy.appliesTo.includesExchanges && exchange.name != .default
            && pattern.matches(exchange.name.rawValue)
    }
}

/// Who obeys a policy.
enum PolicySubject {
    case queue
    case exchange

    var settable: [String] { self == .queue ? QueueArgument.settable : ExchangeArgument.settable }
}

extension Policy {
    /// The policy with those of its settings that mean something to a queue, or to an exchange.
    func seen(by subject: PolicySubject) -> Policy {
        var own = self
        for field in definition.fields {
            // An exchange has no messages that an id could be queued with.
            let isQueued =
                field.name == ExchangeArgument.deduplicate && field.value == .string("while-queued")
            if !subject.settable.contains(field.name)
                || (appliesTo == .all && subject == .exchange && isQueued)
            {
                own.definition[field.name] = nil
            }
        }
        return own
    }
}

/// What counts for one queue or exchange.
struct EffectiveArguments {
    /// The arguments with what policies add and limit.
    var arguments: FieldTable
    /// For each that a policy had a say in, or that was declared: where it comes from.
    var origins = FieldTable()

    /// RabbitMQ's precedence: an argument beats a policy; an operator policy beats both, and of two numbers the
    /// lower counts.
    init(_ declared: FieldTable, of subject: PolicySubject, _ policy: Policy?, _ operatorPolicy: Policy?) {
        arguments = declared
        for name in subject.settable where declared[name] != nil { origins[name] = .string("argument") }
        let (policy, operatorPolicy) = (policy?.seen(by: subject), operatorPolicy?.seen(by: subject))
        for field in policy?.definition.fields ?? [] where arguments[field.name] == nil {
            arguments[field.name] = field.value
            origins[field.name] = .string("policy '\(policy?.name ?? "")'")
        }
        for field in operatorPolicy?.definition.fields ?? [] {
            if let number = arguments[field.name]?.number, let limit = field.value.number, number <= limit {
                continue
            }
            arguments[field.name] = field.value
            origins[field.name] = .string("operator policy '\(operatorPolicy?.name ?? "")'")
        }
    }
}

extension [ActivePolicy] {
    /// These policies, without those that are not allowed, in the order in which they count.
    init(_ policies: [Policy]) {
        self = policies.compactMap { try? ActivePolicy($0) }
        sort { $0.comesBefore($1) }
    }

    /// The policy and the operator policy that count where `isMeant` holds.
    func counting(where isMeant: (ActivePolicy) -> Bool) -> (policy: Policy?, operatorPolicy: Policy?) {
        var (policy, operatorPolicy) = (Policy?.none, Policy?.none)
        for active in self {
            let isFound = (active.policy.isOperator ? operatorPolicy : policy) != nil
            guard !isFound, isMeant(active) else { continue }
            if active.policy.isOperator { operatorPolicy = active.policy } else { policy = active.policy }
        }
        return (policy, operatorPolicy)
    }
}

extension ActivePolicy {
    /// True where it counts rather than the other.
    func comesBefore(_ other: ActivePolicy) -> Bool {
        policy.priority != other.policy.priority
            ? policy.priority > other.policy.priority : policy.name < other.policy.name
    }
}

extension QueueInfo {
    /// Says what counts for the queue under these policies, as a reader of the file finds them.
    public mutating func explain(_ policies: [Policy]) {
        let counting = [ActivePolicy](policies).counting { $0.matches(definition) }
        explain(counting.policy, counting.operatorPolicy)
    }

    /// Says what counts for the queue under the two policies that count.
    mutating func explain(_ policy: Policy?, _ operatorPolicy: Policy?) {
        var result = EffectiveArguments(definition.arguments, of: .queue, policy, operatorPolicy)
        if ArgumentReader(definition).isQuorum, result.arguments[QueueArgument.deliveryLimit] == nil {
            result.arguments[QueueArgument.deliveryLimit] = .int(QueueSettings.quorumDeliveryLimit)
            result.origins[QueueArgument.deliveryLimit] = .string("default")
        }
        self.policy = policy?.name
        self.operatorPolicy = operatorPolicy?.name
        effective = result.arguments
        origins = result.origins
    }
}

extension ExchangeInfo {
    /// Says what counts for the exchange under these policies, as a reader of the file finds them.
    public mutating func explain(_ policies: [Policy]) {
        let counting = [ActivePolicy](policies).counting { $0.matches(definition) }
        explain(counting.policy, counting.operatorPolicy)
    }

    /// Says what counts for the exchange under the two policies that count.
    mutating func explain(_ policy: Policy?, _ operatorPolicy: Policy?) {
        let result = EffectiveArguments(definition.arguments, of: .exchange, policy, operatorPolicy)
        self.policy = policy?.name
        self.operatorPolicy = operatorPolicy?.name
        effective = result.arguments
        origins = result.origins
    }
}

extension FieldValue {
    /// The whole number that this is, if it is one.
    fileprivate var number: Int64? {
        switch self {
        case .int(let value): value
        case .double(let value): FieldValue.wholeNumber(value)
        default: nil
        }
    }
}
