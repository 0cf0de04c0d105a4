// What a binding of a headers exchange compares (AMQP 0-9-1 §3.1.3.4 and RabbitMQ's `-with-x`). Made once
// when the binding is added, asked for every message.

/// The compiled arguments of a binding to a headers exchange.
struct HeadersMatch {
    private let wantsAll: Bool
    /// What must be there; `void` stands for any value.
    private let fields: [FieldTable.Field]

    /// Reads `x-match` (default `all`) and the headers to compare. Throws 406 for another `x-match`.
    init(_ arguments: FieldTable) throws(BrokerError) {
        let mode = arguments[BindingArgument.match] ?? .string("all")
        let withX: Bool
        switch mode {
        case .string("all"): (wantsAll, withX) = (true, false)
        case .string("any"): (wantsAll, withX) = (false, false)
        case .string("all-with-x"): (wantsAll, withX) = (true, true)
        case .string("any-with-x"): (wantsAll, withX) = (false, true)
        default:
            throw BrokerError(
                .preconditionFailed,
                "invalid x-match value '\(mode.shown)' of type '\(mode.typeName)'; "
                    + "expected all, any, all-with-x or any-with-x")
        }
        fields = arguments.fields.filter {
            $0.name != BindingArgument.match && (withX || !$0.name.hasPrefix("x-"))
        }
    }

    /// True where all the headers, or any of them, are as the binding wants. With nothing to compare, `all`
    /// matches every message and `any` matches none.
    func matches(_ headers: FieldTable) -> Bool {
        wantsAll ? fields.allSatisfy { holds($0, in: headers) } : fields.contains { holds($0, in: headers) }
    }

    private func holds(_ field: FieldTable.Field, in headers: FieldTable) -> Bool {
        guard let value = headers[field.name] else { return false }
        return field.value == .void || field.value.isEquivalent(to: value)
    }
}
