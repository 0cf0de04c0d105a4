// The properties and headers of a message as MSG shows them: options as PUB takes them, then headers, then
// the history of a dead letter as AMQP's x-death headers.

import LeveretCore

enum LineProperties {
    /// ` id=… h.NAME=value …`.
    static func text(of properties: MessageProperties?, _ deaths: DeathHistory?) -> [UInt8] {
        var out: [UInt8] = []
        if let properties {
            append("id", properties.messageID, to: &out)
            append("ttl", properties.expiration, to: &out)
            append("priority", properties.priority.map { String($0) }, to: &out)
            append("type", properties.type, to: &out)
            append("reply-to", properties.replyTo, to: &out)
            append("correlation-id", properties.correlationID, to: &out)
            append("content-type", properties.contentType, to: &out)
            append("content-encoding", properties.contentEncoding, to: &out)
            append("timestamp", properties.timestamp.map { String($0) }, to: &out)
            append("user-id", properties.userID, to: &out)
            append("app-id", properties.appID, to: &out)
            append("cluster-id", properties.clusterID, to: &out)
        }
        let own = deaths?.xDeathHeaders(after: properties?.headers ?? FieldTable()) ?? FieldTable()
        for field in properties?.headers.fields ?? [] where own[field.name] == nil { append(field, to: &out) }
        for field in own.fields { append(field, to: &out) }
        return out
    }

    private static func append(_ name: String, _ value: String?, to out: inout [UInt8]) {
        guard let value else { return }
        out.append(.space)
        out.append(contentsOf: name.utf8)
        out.append(.equals)
        if LineText.needsQuotes(value) {
            LineText.appendQuoted(value.utf8, to: &out)
        } else {
            out.append(contentsOf: value.utf8)
        }
    }

    private static func append(_ field: FieldTable.Field, to out: inout [UInt8]) {
        out.append(contentsOf: " h.".utf8)
        if LineText.needsQuotes(field.name) {
            LineText.appendQuoted(field.name.utf8, to: &out)
        } else {
            out.append(contentsOf: field.name.utf8)
        }
        out.append(.equals)
        LineText.appendValue(field.value, to: &out)
    }
}
