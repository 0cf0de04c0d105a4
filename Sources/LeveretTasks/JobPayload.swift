// A job's arguments between the value and the bytes in the queue: JSON both ways, and old versions made new.

@_exported public import Leveret

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// The arguments of a job as they stand in the queue: named values, as JSON has them.
public typealias JobPayload = FieldTable

/// Writes and reads payloads.
struct PayloadCodec: Sendable {
    private let encoder: JSONEncoder
    private let decoder = JSONDecoder()

    init() {
        encoder = JSONEncoder()
        // Equal arguments are equal bytes: that is what makes jobs unique by their arguments.
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    }

    /// The arguments of a job as JSON.
    func encode(_ value: some Encodable) throws -> [UInt8] { Array(try encoder.encode(value)) }

    /// The value that `text` is in JSON, if it is one.
    func value<Value: Decodable>(_: Value.Type, from text: String) -> Value? {
        // What was written as another type is none of these.
        try? decoder.decode(Value.self, from: Data(text.utf8))
    }

    /// The job that `body` describes, written by `version` of it.
    ///
    /// - Throws: a `JobError` (undecodable) that says which field is wrong.
    func decode<J: Job>(_: J.Type, from body: [UInt8], version: Int) throws(JobError) -> J {
        do {
            let isCurrent = version == J.version && J.defaults.isEmpty
            let bytes = isCurrent ? body : try upgraded(body, from: version, to: J.self)
            return try decoder.decode(J.self, from: Data(bytes))
        } catch {
            throw JobError(
                .undecodable, "the payload is no '\(J.name)' of version \(J.version): \(text(of: error))")
        }
    }

    private func upgraded<J: Job>(_ body: [UInt8], from version: Int, to: J.Type) throws -> [UInt8] {
        guard version <= J.version else {
            throw JobError(.undecodable, "it is of version \(version), which this program does not know yet")
        }
        var payload = try JSONText.readTable(String(decoding: body, as: UTF8.self))
        if version < J.version { try J.upgrade(&payload, from: version) }
        for field in J.defaults.fields where payload[field.name] == nil { payload[field.name] = field.value }
        return Array(JSONText.write(payload).utf8)
    }

    private func text(of error: any Error) -> String {
        guard let error = error as? DecodingError else { return String(describing: error) }
        switch error {
        case .keyNotFound(let key, let context): return "'\(path(context, key))' is missing"
        case .valueNotFound(_, let context): return "'\(path(context))' is null"
        case .typeMismatch(let type, let context): return "'\(path(context))' is no \(type)"
        case .dataCorrupted(let context):
            return context.codingPath.isEmpty
                ? "it is not JSON" : "'\(path(context))' is wrong: \(context.debugDescription)"
        @unknown default: return String(describing: error)
        }
    }

    private func path(_ context: DecodingError.Context, _ last: (any CodingKey)? = nil) -> String {
        (context.codingPath + [last].compactMap { $0 }).map(\.stringValue).joined(separator: ".")
    }
}
