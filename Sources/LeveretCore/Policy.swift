// Policies: settings for queues whose names match a pattern, changed while the queues are in use. Here is what a
// policy may say, and which of arguments, policy and operator policy counts. BrokerCore+Policies.swift applies them.

/// Settings for all queues whose names match a pattern.
public struct Policy: Hashable, Sendable {
    /// Its name; operator policies have names of their own.
    public var name: String
    /// Which queues it is for: a regular expression that is found anywhere in the name.
    public var pattern: String
    /// Of several that match, the one of the highest priority counts, then the first by name.
    public var priority: Int32
    /// It limits what clients and other policies ask for.
    public var isOperator: Bool
    /// The settings, by the names of queue arguments.
    public var definition: FieldTable

    /// A policy with these settings.
    public init(
        _ name: String, pattern: String, priority: Int32 = 0, isOperator: Bool = false, definition: FieldTable
    ) {
        self.name = name
        self.pattern = pattern
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

    /// A row of these parts.
    public init(policy: Policy, queues: Int) {
        self.policy = policy
        self.queues = queues
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
        for field in policy.definition.fields where !QueueArgument.settable.contains(field.name) {
            throw BrokerError(
                .preconditionFailed,
                "policy '\(policy.name)' can't set '\(field.name)'; it can set "
                    + QueueArgument.settable.joined(separator: ", "))
        }
        _ = try QueueSettings(policy)
    }
}

/// What counts for one queue.
struct EffectiveArguments {
    /// The arguments with what policies add and limit.
    var arguments: FieldTable
    /// For each that a policy had a say in, or that was declared: where it comes from.
    var origins = FieldTable()

    /// RabbitMQ's precedence: an argument beats a policy; an operator policy beats both, and of two numbers the
    /// lower counts.
    init(_ declared: FieldTable, _ policy: Policy?, _ operatorPolicy: Policy?) {
        arguments = declared
        for name in QueueArgument.settable where declared[name] != nil { origins[name] = .string("argument") }
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

extension QueueInfo {
    /// Says what counts for the queue under these policies, as a reader of the file finds them.
    public mutating func explain(_ policies: [Policy]) {
        let isOwn = definition.name.rawValue.hasPrefix("leveret.")
        let matching = policies.filter { policy in
            guard !isOwn, let pattern = try? NamePattern(policy.pattern) else { return false }
            return pattern.matches(definition.name.rawValue)
        }
        func first(_ isOperator: Bool) -> Policy? {
            matching.filter { $0.isOperator == isOperator }.min {
                $0.priority != $1.priority ? $0.priority > $1.priority : $0.name < $1.name
            }
        }
        explain(first(false), first(true))
    }

    /// Says what counts for the queue under the two policies that count.
    mutating func explain(_ policy: Policy?, _ operatorPolicy: Policy?) {
        let result = EffectiveArguments(definition.arguments, policy, operatorPolicy)
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
