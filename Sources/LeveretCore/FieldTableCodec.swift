// Field tables as AMQP 0-9-1 §4.2.5.5 writes them, in RabbitMQ's dialect. The AMQP door speaks it and the
// store keeps headers in it. Decoding bounds what it is given and never trusts a length.

/// Writes and reads field tables.
public enum FieldTableCodec {
    /// How deep tables and arrays may stand in each other.
    public static let depthMax = 32

    /// The bytes of `table`, its length in front. Names are cut to 255 bytes: see `check`.
    public static func encode(_ table: FieldTable) -> [UInt8] {
        var bytes: [UInt8] = []
        encode(table, into: &bytes)
        return bytes
    }

    /// Appends the bytes of `table`, its length in front.
    public static func encode(_ table: FieldTable, into bytes: inout [UInt8]) {
        encode(table, isWide: false, into: &bytes)
    }

    private static func encode(_ table: FieldTable, isWide: Bool, into bytes: inout [UInt8]) {
        bytes.appendCounted { bytes in
            for field in table.fields {
                bytes.append(shortString: field.name)
                // As RabbitMQ's, which the Java client's users cast to Long.
                encode(field.value, isWide: isWide || field.name == HeaderName.death, into: &bytes)
            }
        }
    }

    /// The table that `bytes` are, from the first to the last. Throws 502 for anything else; of two fields
    /// with one name the later stays.
    public static func decode(_ bytes: [UInt8]) throws(BrokerError) -> FieldTable {
        var reader = ByteReader(bytes)
        let table = try decode(&reader, depth: 1)
        guard reader.isAtEnd else { throw reader.error("the table ends before its bytes do") }
        return table
    }

    /// Throws 406 for a table that AMQP can't carry: a name above 255 bytes, or nested too deep.
    public static func check(_ table: FieldTable) throws(BrokerError) {
        try check(table, depth: 1)
    }

    static func decode(_ reader: inout ByteReader, depth: Int) throws(BrokerError) -> FieldTable {
        guard depth <= depthMax else { throw reader.error("tables are nested more than \(depthMax) deep") }
        var body = try reader.nested(Int(try reader.integer(UInt32.self)))
        var table = FieldTableBuilder()
        while !body.isAtEnd {
            let name = try body.shortString()
            table.set(name, try value(&body, depth: depth))
        }
        return table.table
    }

    private static func value(_ reader: inout ByteReader, depth: Int) throws(BrokerError) -> FieldValue {
        let start = reader.position
        let tag = try reader.integer(UInt8.self)
        switch tag {
        case UInt8(ascii: "t"): return .bool(try reader.integer(UInt8.self) != 0)
        case UInt8(ascii: "b"): return .int(Int64(try reader.integer(Int8.self)))
        case UInt8(ascii: "B"): return .int(Int64(try reader.integer(UInt8.self)))
        case UInt8(ascii: "s"): return .int(Int64(try reader.integer(Int16.self)))
        case UInt8(ascii: "u"): return .int(Int64(try reader.integer(UInt16.self)))
        case UInt8(ascii: "I"): return .int(Int64(try reader.integer(Int32.self)))
        case UInt8(ascii: "i"): return .int(Int64(try reader.integer(UInt32.self)))
        case UInt8(ascii: "l"): return .int(try reader.integer(Int64.self))
        case UInt8(ascii: "f"):
            return .double(Double(Float(bitPattern: try reader.integer(UInt32.self))))
        case UInt8(ascii: "d"): return .double(Double(bitPattern: try reader.integer(UInt64.self)))
        case UInt8(ascii: "D"):
            let scale = try reader.integer(UInt8.self)
            return .decimal(scale: scale, value: try reader.integer(Int32.self))
        case UInt8(ascii: "S"):
            let bytes = try reader.take(Int(try reader.integer(UInt32.self)))
            return String(validating: bytes, as: UTF8.self).map { .string($0) } ?? .bytes(Array(bytes))
        case UInt8(ascii: "x"):
            return .bytes(Array(try reader.take(Int(try reader.integer(UInt32.self)))))
        case UInt8(ascii: "T"): return .timestamp(try reader.integer(Int64.self))
        case UInt8(ascii: "A"): return .array(try array(&reader, depth: depth + 1))
        case UInt8(ascii: "F"): return .table(try decode(&reader, depth: depth + 1))
        case UInt8(ascii: "V"): return .void
        default: throw reader.error("type \(tag) of a field is unknown", at: start)
        }
    }

    private static func array(_ reader: inout ByteReader, depth: Int) throws(BrokerError) -> [FieldValue] {
        guard depth <= depthMax else { throw reader.error("arrays are nested more than \(depthMax) deep") }
        var body = try reader.nested(Int(try reader.integer(UInt32.self)))
        var values: [FieldValue] = []
        while !body.isAtEnd { values.append(try value(&body, depth: depth)) }
        return values
    }

    private static func encode(_ value: FieldValue, isWide: Bool, into bytes: inout [UInt8]) {
        switch value {
        case .bool(let value): bytes += [UInt8(ascii: "t"), value ? 1 : 0]
        case .int(let value):
            if !isWide, let small = Int32(exactly: value) {
                bytes.append(UInt8(ascii: "I"))
                bytes.append(bigEndian: small)
            } else {
                bytes.append(UInt8(ascii: "l"))
                bytes.append(bigEndian: value)
            }
        case .double(let value):
            bytes.append(UInt8(ascii: "d"))
            bytes.append(bigEndian: value.bitPattern)
        case .decimal(let scale, let value):
            bytes += [UInt8(ascii: "D"), scale]
            bytes.append(bigEndian: value)
        case .string(let text):
            bytes.append(UInt8(ascii: "S"))
            bytes.appendCounted { $0.append(contentsOf: text.utf8) }
        case .bytes(let value):
            bytes.append(UInt8(ascii: "x"))
            bytes.appendCounted { $0.append(contentsOf: value) }
        case .timestamp(let seconds):
            bytes.append(UInt8(ascii: "T"))
            bytes.append(bigEndian: seconds)
        case .array(let values):
            bytes.append(UInt8(ascii: "A"))
            bytes.appendCounted { bytes in
                for value in values { encode(value, isWide: isWide, into: &bytes) }
            }
        case .table(let table):
            bytes.append(UInt8(ascii: "F"))
            encode(table, isWide: isWide, into: &bytes)
        case .void: bytes.append(UInt8(ascii: "V"))
        }
    }

    private static func check(_ table: FieldTable, depth: Int) throws(BrokerError) {
        try checkDepth(depth)
        for field in table.fields {
            try ShortString.check(field.name, "the name of a field")
            try check(field.value, depth: depth)
        }
    }

    private static func check(_ value: FieldValue, depth: Int) throws(BrokerError) {
        switch value {
        case .table(let table): try check(table, depth: depth + 1)
        case .array(let values):
            try checkDepth(depth + 1)
            for value in values { try check(value, depth: depth + 1) }
        default: return
        }
    }

    private static func checkDepth(_ depth: Int) throws(BrokerError) {
        guard depth <= depthMax else {
            throw BrokerError(
                .preconditionFailed, "tables and arrays are nested more than \(depthMax) deep")
        }
    }
}

/// Gathers fields whose names may repeat, in linear time: a hostile table has many.
struct FieldTableBuilder {
    /// So many are looked through faster than found by a hash.
    private static let plainMax = 8

    private var fields: [FieldTable.Field] = []
    /// Where each is, once there are more.
    private var places: [ByteKey: Int] = [:]

    /// The fields so far.
    var table: FieldTable { FieldTable(unique: fields) }

    func contains(_ name: String) -> Bool { place(of: name) != nil }

    mutating func set(_ name: String, _ value: FieldValue) {
        if let place = place(of: name) {
            fields[place].value = value
            return
        }
        fields.append(FieldTable.Field(name: name, value: value))
        if fields.count == Self.plainMax {
            for (place, field) in fields.enumerated() { places[ByteKey(field.name)] = place }
        } else if fields.count > Self.plainMax {
            places[ByteKey(name)] = fields.count - 1
        }
    }

    private func place(of name: String) -> Int? {
        places.isEmpty ? fields.firstIndex { $0.name.hasSameBytes(as: name) } : places[ByteKey(name)]
    }
}
