// What a binding of a headers exchange compares (AMQP 0-9-1 §3.1.3.4 and RabbitMQ's `-with-x`). Made once
// when the binding is added, asked for every message.

/// A message's headers as bindings ask for them by name: few are looked through, many are put into an index at the
/// first question, since both sides may be as long as their sender likes.
struct HeaderLookup {
    private static let scannedMax = 16

    let table: FieldTable
    private var places: [ByteKey: Int]?

    init(_ table: FieldTable) { self.table = table }

    /// The value of the header called `name`.
    mutating func value(_ name: String) -> FieldValue? {
        guard table.fields.count > Self.scannedMax else { return table[name] }
        if places == nil {
            let keys = table.fields.enumerated().map { (ByteKey($1.name), $0) }
            places = Dictionary(keys) { first, _ in first }
        }
        return places?[ByteKey(name)].map { table.fields[$0].value }
    }
}

/// The compiled arguments of a binding to a headers exchange.
struct HeadersMatch {
    private enum Mode { case all, any, none }

    private let mode: Mode
    /// What must be there; `void` stands for any value.
    private let fields: [FieldTable.Field]

    /// Reads `x-match` (default `all`) and the headers to compare. Throws 406 for another `x-match`.
    init(_ arguments: FieldTable) throws(BrokerError) {
        let word = arguments[BindingArgument.match] ?? .string("all")
        let withX: Bool
        switch word {
        case .string("all"): (mode, withX) = (.all, false)
        case .string("any"): (mode, withX) = (.any, false)
        case .string("all-with-x"): (mode, withX) = (.all, true)
        case .string("any-with-x"): (mode, withX) = (.any, true)
        case .string("none"): (mode, withX) = (.none, false)
        default:
            throw BrokerError(
                .preconditionFailed,
                "invalid x-match value '\(word.shown)' of type '\(word.typeName)'; "
                    + "expected all, any, all-with-x, any-with-x or none")
        }
        fields = arguments.fields.filter {
            $0.name != BindingArgument.match && (withX || !$0.name.hasPrefix("x-"))
        }
    }

    /// True where all the headers, any of them, or none, are as the binding says. With nothing to compare, `all`
    /// and `none` match every message and `any` matches none.
    func matches(_ headers: inout HeaderLookup) -> Bool {
        switch mode {
        case .all: fields.allSatisfy { holds($0, in: &headers) }
        case .any: fields.contains { holds($0, in: &headers) }
        case .none: !fields.contains { holds($0, in: &headers) }
        }
    }

    private func holds(_ field: FieldTable.Field, in headers: inout HeaderLookup) -> Bool {
        guard let value = headers.value(field.name) else { return false }
        return field.value == .void || field.value.isEquivalent(to: value)
    }
}
