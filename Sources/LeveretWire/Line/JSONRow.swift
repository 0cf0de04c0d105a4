// One row of a listing as it is built: a JSON object, field by field.

import LeveretCore

/// Writes a JSON object.
struct JSONRow {
    /// It so far, in UTF-8.
    private(set) var bytes: [UInt8] = []
    /// The names of the fields to write; `nil` is all.
    private let fields: Set<String>?

    /// An object of the fields that these name; `nil` is all.
    init(fields: Set<String>? = nil) {
        self.fields = fields
        bytes.reserveCapacity(1024)
        bytes.append(UInt8(ascii: "{"))
    }

    /// The object as text.
    var text: String { String(decoding: bytes, as: UTF8.self) }

    /// Begins a field; false where it is left out.
    private mutating func key(_ name: String) -> Bool {
        if let fields, !fields.contains(name) { return false }
        if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
        JSONText.append(name, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        return true
    }

    mutating func field(_ name: String, _ value: String) {
        guard key(name) else { return }
        JSONText.append(value, to: &bytes)
    }

    mutating func field(_ name: String, _ value: some BinaryInteger) {
        guard key(name) else { return }
        JSONText.append(plain: String(value), to: &bytes)
    }

    mutating func field(_ name: String, _ value: Bool) {
        guard key(name) else { return }
        JSONText.append(plain: value ? "true" : "false", to: &bytes)
    }

    /// A number per second, with one decimal.
    mutating func field(_ name: String, rate: Double) {
        guard key(name) else { return }
        let tenths = rate.isFinite && rate >= 0 && rate < 1e15 ? Int((rate * 10).rounded()) : 0
        JSONText.append(plain: "\(tenths / 10).\(tenths % 10)", to: &bytes)
    }

    mutating func field(_ name: String, _ value: FieldValue) {
        guard key(name) else { return }
        JSONText.append(value, to: &bytes)
    }

    /// A value that is JSON already.
    mutating func json(_ name: String, _ text: String) {
        guard key(name) else { return }
        JSONText.append(plain: text, to: &bytes)
    }

    mutating func field(_ name: String, text: String?) {
        if let text { field(name, text) } else { null(name) }
    }

    /// A moment in ISO 8601; null for never.
    mutating func field(_ name: String, time: Instant?) {
        if let time, time != .distantFuture { field(name, time.iso8601) } else { null(name) }
    }

    /// A number; null where there is none.
    mutating func field(_ name: String, limit: Int?) {
        if let limit { field(name, limit) } else { null(name) }
    }

    mutating func null(_ name: String) {
        guard key(name) else { return }
        JSONText.append(plain: "null", to: &bytes)
    }

    /// Ends the object.
    mutating func end() { bytes.append(UInt8(ascii: "}")) }
}
