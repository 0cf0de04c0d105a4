// When two field values count as the same: numbers by value, tables without their order. Headers exchanges compare
// with it. Also what of two declarations is compared, and RabbitMQ's words where it differs.

extension FieldValue {
    /// True where both stand for the same value: numbers are compared by value whatever their type.
    func isEquivalent(to other: FieldValue) -> Bool {
        switch (self, other) {
        case (.int, _), (.double, _), (.decimal, _): Self.numbersEqual(self, other)
        case (.array(let a), .array(let b)):
            a.count == b.count && zip(a, b).allSatisfy { $0.isEquivalent(to: $1) }
        case (.table(let a), .table(let b)): a.isEquivalent(to: b)
        default: self == other
        }
    }

    private static func numbersEqual(_ a: FieldValue, _ b: FieldValue) -> Bool {
        switch (a, b) {
        case (.int(let a), .int(let b)): a == b
        case (.double(let a), .double(let b)): a == b || (a.isNaN && b.isNaN)
        case (.int(let a), .double(let b)), (.double(let b), .int(let a)): wholeNumber(b) == a
        case (.decimal(let s, let v), .decimal(let t, let w)): reduced(s, v) == reduced(t, w)
        case (.decimal(let s, let v), .int(let i)), (.int(let i), .decimal(let s, let v)):
            reduced(s, v) == (0, i)
        case (.decimal(let s, let v), .double(let d)), (.double(let d), .decimal(let s, let v)):
            (0..<s).reduce(Double(v)) { quotient, _ in quotient / 10 } == d
        default: false
        }
    }

    /// The whole number that `value` is, if it is one that fits. (`Int64(exactly:)` needs the C library.)
    static func wholeNumber(_ value: Double) -> Int64? {
        guard value >= -0x1p63, value < 0x1p63 else { return nil }
        let whole = Int64(value)
        return Double(whole) == value ? whole : nil
    }

    /// The decimal without zeros at its end, so that equal numbers have one form.
    private static func reduced(_ scale: UInt8, _ value: Int32) -> (UInt8, Int64) {
        guard value != 0 else { return (0, 0) }
        var (scale, value) = (scale, Int64(value))
        while scale > 0, value % 10 == 0 {
            scale -= 1
            value /= 10
        }
        return (scale, value)
    }

    /// AMQP's name of the type, as RabbitMQ's errors have it.
    var typeName: String {
        switch self {
        case .bool: "bool"
        case .int: "long"
        case .double: "double"
        case .decimal: "decimal"
        case .string: "longstr"
        case .bytes: "binary"
        case .timestamp: "timestamp"
        case .array: "array"
        case .table: "table"
        case .void: "void"
        }
    }

    /// The value as errors show it; what is long or nested is only named.
    var shown: String {
        switch self {
        case .bool(let value): "\(value)"
        case .int(let value), .timestamp(let value): "\(value)"
        case .double(let value): "\(value)"
        case .decimal(let scale, let value): "\(value)e-\(scale)"
        case .string(let value): value.utf8.count <= 255 ? value : "\(value.prefix(60))…"
        case .bytes(let bytes): "\(bytes.count) bytes"
        case .array(let values): "\(values.count) values"
        case .table(let table): "\(table.fields.count) fields"
        case .void: "void"
        }
    }
}

extension FieldTable {
    /// True where both have the same names with equivalent values, in any order.
    func isEquivalent(to other: FieldTable) -> Bool {
        self == other
            || fields.count == other.fields.count
                && zip(fieldsByName, other.fieldsByName).allSatisfy { a, b in
                    a.name.hasSameBytes(as: b.name) && a.value.isEquivalent(to: b.value)
                }
    }
}

/// Builds the 406 errors of declarations that differ from what is there.
struct Inequivalence {
    /// What was declared, e.g. `queue 'q' in vhost '/'`.
    let entity: String

    /// An error when an attribute differs, such as `durable`.
    func attribute(_ name: String, received: String, current: String) -> BrokerError? {
        received == current ? nil : error(name, "'\(received)'", "'\(current)'")
    }

    /// An error for the first of these arguments that differs: a whole number is never one with a point.
    func arguments(_ names: [String], received: FieldTable, current: FieldTable) -> BrokerError? {
        guard received != current else { return nil }
        for name in names {
            let (new, old) = (received[name], current[name])
            guard new != old else { continue }
            // Queues are classic unasked.
            if name == QueueArgument.type, (new ?? "classic") == (old ?? "classic") { continue }
            guard let new, let old else { return error(name, describe(new), describe(old)) }
            return error(name, "'\(new.shown)'", "'\(old.shown)'")
        }
        return nil
    }

    private func describe(_ value: FieldValue?) -> String {
        value.map { "the value '\($0.shown)' of type '\($0.typeName)'" } ?? "none"
    }

    private func error(_ name: String, _ received: String, _ current: String) -> BrokerError {
        BrokerError(
            .preconditionFailed,
            "inequivalent arg '\(name)' for \(entity): "
                + "received \(received) but current is \(current)")
    }
}
