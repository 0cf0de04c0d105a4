// What the arguments of an exchange mean. BrokerCore reads them when the exchange is declared, and again when
// policies change what counts; what one may be, and what the error says, stands here and nowhere else.

/// The typed settings of an exchange.
struct ExchangeSettings: Hashable {
    /// Where messages go that match no binding.
    var alternate: ExchangeName?
    /// For how many milliseconds it remembers the ids of messages; `nil` where it doesn't.
    var deduplicationMilliseconds: Int64?

    /// The settings of an exchange without arguments.
    init() {}

    /// Reads the arguments of `definition`; unknown ones are ignored. Throws 406 for a value of the wrong type or
    /// outside its range.
    init(
        _ definition: ExchangeDefinition, in vhost: VirtualHostName = .default
    ) throws(BrokerError) {
        let reader = ArgumentReader(definition, in: vhost)
        try self.init(reader)
        if definition.type == .delayed {
            let known = ExchangeType.routing.map(\.rawValue)
            guard try reader.word(ExchangeArgument.delayedType, of: known) != nil else {
                throw reader.invalid(ExchangeArgument.delayedType, known.joined(separator: ", "))
            }
        }
    }

    /// Reads the settings of a policy. Throws as the other does.
    init(_ policy: Policy) throws(BrokerError) { try self.init(ArgumentReader(policy)) }

    /// Reads what counts for an exchange in the end.
    init(effective arguments: FieldTable, of definition: ExchangeDefinition) throws(BrokerError) {
        var definition = definition
        definition.arguments = arguments
        try self.init(ArgumentReader(definition))
    }

    private init(_ reader: ArgumentReader) throws(BrokerError) {
        if let name = try reader.name(ExchangeArgument.alternate) {
            guard !name.isEmpty else {
                throw reader.invalid(ExchangeArgument.alternate, "the name of an exchange")
            }
            alternate = ExchangeName(name)
        }
        deduplicationMilliseconds = try reader.integer(
            ExchangeArgument.deduplicate, in: 1...QueueSettings.millisecondsMax)
    }
}
