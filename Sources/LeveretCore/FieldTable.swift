// AMQP's field tables: the headers of messages and the arguments of declarations.

/// A value in a field table, in RabbitMQ's dialect of AMQP 0-9-1 §4.2.5.5.
public enum FieldValue: Hashable, Sendable {
    /// `t`: a boolean.
    case bool(Bool)
    /// `b`, `B`, `s`, `u`, `I`, `i`, `l`: a whole number. Written in the smallest signed form that AMQP's
    /// clients expect: `I` when it fits in 32 bits, else `l`, and always `l` within `x-death`.
    case int(Int64)
    /// `f` and `d`: a floating-point number.
    case double(Double)
    /// `D`: `value` divided by ten to the power of `scale`.
    case decimal(scale: UInt8, value: Int32)
    /// `S`: text in UTF-8. A long string that isn't UTF-8 is `bytes`.
    case string(String)
    /// `x`, and an `S` that isn't UTF-8: bytes.
    case bytes([UInt8])
    /// `T`: seconds since 1970.
    case timestamp(Int64)
    /// `A`: values in order.
    case array([FieldValue])
    /// `F`: a table within the table.
    case table(FieldTable)
    /// `V`: no value.
    case void
}

extension FieldValue {
    /// Values are equal where type and value are, texts by their bytes.
    public static func == (a: Self, b: Self) -> Bool {
        switch (a, b) {
        case (.bool(let a), .bool(let b)): a == b
        case (.int(let a), .int(let b)), (.timestamp(let a), .timestamp(let b)): a == b
        case (.double(let a), .double(let b)): a == b
        case (.decimal(let s, let a), .decimal(let t, let b)): s == t && a == b
        case (.string(let a), .string(let b)): a.hasSameBytes(as: b)
        case (.bytes(let a), .bytes(let b)): a == b
        case (.array(let a), .array(let b)): a == b
        case (.table(let a), .table(let b)): a == b
        case (.void, .void): true
        default: false
        }
    }
}

extension FieldValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral {
    /// A `string` written as a literal.
    public init(stringLiteral value: String) { self = .string(value) }

    /// An `int` written as a literal.
    public init(integerLiteral value: Int64) { self = .int(value) }

    /// A `bool` written as a literal.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
}

/// Named values in the order in which they were given; names may be any UTF-8 of up to 255 bytes.
///
/// Tables are small, so look-ups are linear. Equality minds the order.
public struct FieldTable: Hashable, Sendable, ExpressibleByDictionaryLiteral {
    /// One named value.
    public struct Field: Hashable, Sendable {
        /// The field's name.
        public var name: String
        /// The field's value.
        public var value: FieldValue

        /// A field called `name`.
        public init(name: String, value: FieldValue) {
            self.name = name
            self.value = value
        }

        /// Fields are equal where their values and the bytes of their names are.
        public static func == (a: Self, b: Self) -> Bool {
            a.name.hasSameBytes(as: b.name) && a.value == b.value
        }
    }

    /// The fields in order, each name once.
    public private(set) var fields: [Field]

    /// An empty table.
    public init() { fields = [] }

    /// A table of these fields; of two with one name the later stays, at the place of the earlier.
    public init(dictionaryLiteral elements: (String, FieldValue)...) {
        fields = []
        for (name, value) in elements { self[name] = value }
    }

    /// A table of these fields, whose names differ.
    init(unique fields: [Field]) { self.fields = fields }

    /// The fields by the bytes of their names.
    var fieldsByName: [Field] { fields.sorted { $0.name.precedesByBytes($1.name) } }

    /// True where there is no field.
    public var isEmpty: Bool { fields.isEmpty }

    /// The value called `name`; set to add, replace or (with `nil`) remove it. O(fields).
    public subscript(name: String) -> FieldValue? {
        get { fields.first { $0.name.hasSameBytes(as: name) }?.value }
        set {
            let index = fields.firstIndex { $0.name.hasSameBytes(as: name) }
            switch (index, newValue) {
            case (let index?, let value?): fields[index].value = value
            case (let index?, nil): fields.remove(at: index)
            case (nil, let value?): fields.append(Field(name: name, value: value))
            case (nil, nil): break
            }
        }
    }
}
