// The properties of a message as AMQP 0-9-1 §4.2.6.1 writes them: flags, then the values that are there.
// The AMQP door speaks it and the store keeps properties in it.

/// Writes and reads property lists.
public enum PropertiesCodec {
    /// The bits of the flags, by AMQP's order of properties.
    private enum Flag {
        static let contentType: UInt16 = 1 << 15
        static let contentEncoding: UInt16 = 1 << 14
        static let headers: UInt16 = 1 << 13
        static let deliveryMode: UInt16 = 1 << 12
        static let priority: UInt16 = 1 << 11
        static let correlationID: UInt16 = 1 << 10
        static let replyTo: UInt16 = 1 << 9
        static let expiration: UInt16 = 1 << 8
        static let messageID: UInt16 = 1 << 7
        static let timestamp: UInt16 = 1 << 6
        static let type: UInt16 = 1 << 5
        static let userID: UInt16 = 1 << 4
        static let appID: UInt16 = 1 << 3
        static let clusterID: UInt16 = 1 << 2
        static let unknown: UInt16 = 0b11
    }

    /// The list of a transient message of which nothing is said.
    public static let none: [UInt8] = [0, 0]

    /// True where a list says nothing, or nothing but that the message is persistent.
    public static func isPlain(_ bytes: [UInt8]) -> Bool { bytes == none || bytes == [0x10, 0, 2] }

    /// Flags and values of `p`, with delivery mode 2 or 1. Strings are cut to 255 bytes: see `check`.
    public static func encode(_ p: MessageProperties?, isPersistent: Bool) -> [UInt8] {
        var flags = Flag.deliveryMode
        var bytes: [UInt8] = []
        // Most lists have room in it.
        bytes.reserveCapacity(128)
        bytes += [0, 0]
        func add(_ flag: UInt16, _ text: String?) {
            guard let text else { return }
            flags |= flag
            bytes.append(shortString: text)
        }
        add(Flag.contentType, p?.contentType)
        add(Flag.contentEncoding, p?.contentEncoding)
        if let headers = p?.headers, !headers.isEmpty {
            flags |= Flag.headers
            FieldTableCodec.encode(headers, into: &bytes)
        }
        bytes.append(isPersistent ? 2 : 1)
        if let priority = p?.priority {
            flags |= Flag.priority
            bytes.append(priority)
        }
        add(Flag.correlationID, p?.correlationID)
        add(Flag.replyTo, p?.replyTo)
        add(Flag.expiration, p?.expiration)
        add(Flag.messageID, p?.messageID)
        if let timestamp = p?.timestamp {
            flags |= Flag.timestamp
            bytes.append(bigEndian: timestamp)
        }
        add(Flag.type, p?.type)
        add(Flag.userID, p?.userID)
        add(Flag.appID, p?.appID)
        add(Flag.clusterID, p?.clusterID)
        bytes[0] = UInt8(flags >> 8)
        bytes[1] = UInt8(flags & 0xFF)
        return bytes
    }

    /// What `bytes` say, from the first to the last; without any property but the delivery mode it is
    /// `nil`. Only delivery mode 2 is persistent. Throws 502 for anything malformed.
    public static func decode(
        _ bytes: [UInt8]
    ) throws(BrokerError) -> (
        MessageProperties?, isPersistent: Bool
    ) {
        var reader = ByteReader(bytes)
        let flags = try reader.integer(UInt16.self)
        guard flags & Flag.unknown == 0 else {
            throw reader.error("property flags \(flags) name properties that AMQP 0-9-1 doesn't have", at: 0)
        }
        var p = MessageProperties()
        func text(_ flag: UInt16) throws(BrokerError) -> String? {
            flags & flag != 0 ? try reader.shortString() : nil
        }
        p.contentType = try text(Flag.contentType)
        p.contentEncoding = try text(Flag.contentEncoding)
        if flags & Flag.headers != 0 { p.headers = try FieldTableCodec.decode(&reader, depth: 1) }
        let mode = flags & Flag.deliveryMode != 0 ? try reader.integer(UInt8.self) : 1
        if flags & Flag.priority != 0 { p.priority = try reader.integer(UInt8.self) }
        p.correlationID = try text(Flag.correlationID)
        p.replyTo = try text(Flag.replyTo)
        p.expiration = try text(Flag.expiration)
        p.messageID = try text(Flag.messageID)
        if flags & Flag.timestamp != 0 { p.timestamp = try reader.integer(Int64.self) }
        p.type = try text(Flag.type)
        p.userID = try text(Flag.userID)
        p.appID = try text(Flag.appID)
        p.clusterID = try text(Flag.clusterID)
        guard reader.isAtEnd else { throw reader.error("the properties end before their bytes do") }
        return (p.isEmpty ? nil : p, isPersistent: mode == 2)
    }

    /// Throws 406 for properties that AMQP can't carry: a string above 255 bytes, or headers nested too
    /// deep. The core checks what clients hand in before it takes it.
    public static func check(_ p: MessageProperties) throws(BrokerError) {
        func check(_ name: String, _ text: String?) throws(BrokerError) {
            if let text { try ShortString.check(text, "property '\(name)'") }
        }
        try check("content_type", p.contentType)
        try check("content_encoding", p.contentEncoding)
        try check("correlation_id", p.correlationID)
        try check("reply_to", p.replyTo)
        try check("expiration", p.expiration)
        try check("message_id", p.messageID)
        try check("type", p.type)
        try check("user_id", p.userID)
        try check("app_id", p.appID)
        try check("cluster_id", p.clusterID)
        try FieldTableCodec.check(p.headers)
    }
}
