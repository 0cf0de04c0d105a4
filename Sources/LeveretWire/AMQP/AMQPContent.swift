// A message on its way in: basic.publish, a content header and body frames become one Message. What comes again and
// again (names, properties) is decoded once.

import LeveretCore
import NIOCore

/// A publish that has come as a whole.
struct AMQPPublish: Sendable {
    var message: Message
    var isMandatory: Bool
    /// Its answer is to come by direct reply-to.
    var wantsReply: Bool
    /// Why RabbitMQ takes no message with these properties.
    var fault: AMQPFailure?
}

/// The names and properties of the last publishes of a connection, by their bytes.
struct AMQPPublishMemo: Sendable {
    private static let countMax = 8

    /// What basic.publish said.
    struct Names: Sendable {
        var exchange: ExchangeName
        var routingKey: String
        var isMandatory: Bool
        var isImmediate: Bool
    }

    /// What a content header said behind the size.
    struct Properties: Sendable {
        var shared: SharedProperties?
        var isPersistent: Bool
        var wantsReply = false
        var fault: AMQPFailure?
    }

    private var nameBytes: [UInt8] = []
    private var lastNames: Names?
    private var known: [(bytes: [UInt8], properties: Properties)] = []
    private var oldest = 0

    /// Decodes basic.publish, whose payload this is.
    mutating func names(_ payload: ByteBuffer) throws(AMQPFailure) -> Names {
        if let lastNames, payload.withUnsafeReadableBytes({ $0.equals(nameBytes) }) { return lastNames }
        guard
            case (_, .publish(let exchange, let key, let isMandatory, let isImmediate)) =
                try AMQPMethod.decode(payload)
        else { throw .frameError("cannot decode <<>>", method: AMQPMethodID.basicPublish.rawValue) }
        let names = Names(
            exchange: ExchangeName(exchange), routingKey: key, isMandatory: isMandatory,
            isImmediate: isImmediate)
        nameBytes = Array(payload.readableBytesView)
        lastNames = names
        return names
    }

    /// Decodes a property list, and checks it for this user.
    mutating func properties(_ bytes: ByteBuffer, user: String) throws(AMQPFailure) -> Properties {
        let place = bytes.withUnsafeReadableBytes { bytes in known.firstIndex { bytes.equals($0.bytes) } }
        if let place { return known[place].properties }
        let encoded = Array(bytes.readableBytesView)
        var new = Properties(isPersistent: false)
        do throws(BrokerError) {
            let (properties, isPersistent) = try PropertiesCodec.decode(encoded)
            new.isPersistent = isPersistent
            if !PropertiesCodec.isPlain(encoded) {
                let properties = properties ?? MessageProperties()
                new.shared = SharedProperties(
                    properties, isRepeated: properties.messageID == nil && properties.correlationID == nil,
                    encoded: encoded)
                new.wantsReply = properties.replyTo == AMQPDirectReply.queue
                new.fault = Self.fault(of: properties, user: user)
            }
        } catch {
            throw AMQPFailure(.syntaxError, error.text, .basicPublish)
        }
        if new.shared?.isRepeated ?? true { keep(encoded, new) }
        return new
    }

    private mutating func keep(_ bytes: [UInt8], _ properties: Properties) {
        guard bytes.count <= 1024 else { return }
        if known.count < Self.countMax {
            known.append((bytes, properties))
        } else {
            known[oldest] = (bytes, properties)
            oldest = (oldest + 1) % Self.countMax
        }
    }
}

/// Where a channel stands within a publish.
enum AMQPContent: Sendable {
    /// Not within one.
    case none
    /// A content header is due. → body, none
    case header(AMQPPublishMemo.Names)
    /// So many octets of body are still due; so many had come when it was last looked at. → none
    case body(AMQPPublishMemo.Names, AMQPPublishMemo.Properties, bytes: [UInt8], remaining: Int, seen: Int?)

    /// What a content header's payload begins with: class, weight and the size of the body.
    private static let headerBytes = 12
    /// Room that is taken for a body before it has come.
    private static let reservedMax = 1 << 20

    /// Octets of body that have come and wait for the rest.
    var heldBytes: Int { if case .body(_, _, let bytes, _, _) = self { bytes.count } else { 0 } }

    /// Octets of the body that is coming: those that have come and those that are due.
    var size: Int {
        if case .body(_, _, let bytes, let remaining, _) = self { bytes.count + remaining } else { 0 }
    }

    /// How much of a body has come since this was last asked, and its size; `nil` where it was not asked before. So
    /// many octets have come of a frame that is not whole.
    mutating func look(arriving: Int) -> (grown: Int, size: Int)? {
        guard case .body(let names, let properties, let bytes, let remaining, let seen) = self else {
            return nil
        }
        let come = bytes.count + arriving
        self = .body(names, properties, bytes: bytes, remaining: remaining, seen: come)
        return seen.map { (come - $0, bytes.count + remaining) }
    }

    /// Takes a content header. Returns the message where it has no body.
    mutating func header(
        _ payload: ByteBuffer, bodyBytesMax: Int, user: String, _ memo: inout AMQPPublishMemo
    ) throws(AMQPFailure) -> AMQPPublish? {
        guard case .header(let names) = self else { throw Self.notExpected }
        let start = payload.readerIndex
        guard payload.readableBytes > Self.headerBytes,
            let classID: UInt16 = payload.getInteger(at: start),
            let size: UInt64 = payload.getInteger(at: start + 4)
        else { throw .frameError("cannot decode <<>>", method: AMQPMethodID.basicPublish.rawValue) }
        guard classID == 60 else {
            throw .unexpectedFrame(
                "expected content header for class 60, got one for class \(classID) instead", .basicPublish)
        }
        self = .none
        var list = payload
        list.moveReaderIndex(forwardBy: Self.headerBytes)
        let properties = try memo.properties(list, user: user)
        guard let size = Int(exactly: size), size <= bodyBytesMax else {
            throw AMQPFailure(
                .preconditionFailed,
                "message size \(size) is larger than configured max size \(bodyBytesMax)", .basicPublish)
        }
        guard size > 0 else { return Self.publish(names, properties, []) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(min(size, Self.reservedMax))
        self = .body(names, properties, bytes: bytes, remaining: size, seen: nil)
        return nil
    }

    /// Takes a body frame. Returns the message once it is whole.
    mutating func body(_ payload: ByteBuffer) throws(AMQPFailure) -> AMQPPublish? {
        guard case .body(let names, let properties, var bytes, let remaining, let seen) = self else {
            throw Self.notExpected
        }
        self = .none
        guard payload.readableBytes <= remaining else {
            throw .frameError(
                "a content body of \(payload.readableBytes) octets where \(remaining) were due",
                method: AMQPMethodID.basicPublish.rawValue)
        }
        payload.withUnsafeReadableBytes { bytes.append(contentsOf: $0) }
        guard payload.readableBytes < remaining else { return Self.publish(names, properties, bytes) }
        self = .body(
            names, properties, bytes: bytes, remaining: remaining - payload.readableBytes, seen: seen)
        return nil
    }

    /// What a frame of content is told that no publish is waiting for.
    private static var notExpected: AMQPFailure {
        .unexpectedFrame("expected method frame, got non method frame instead")
    }

    private static func publish(
        _ names: AMQPPublishMemo.Names, _ properties: AMQPPublishMemo.Properties, _ body: [UInt8]
    ) -> AMQPPublish {
        AMQPPublish(
            message: Message(
                exchange: names.exchange, routingKey: names.routingKey, shared: properties.shared,
                isPersistent: properties.isPersistent, body: body),
            isMandatory: names.isMandatory, wantsReply: properties.wantsReply, fault: properties.fault)
    }
}

extension AMQPPublishMemo {
    /// What RabbitMQ refuses of a message's properties before it routes it.
    private static func fault(of properties: MessageProperties, user: String) -> AMQPFailure? {
        if let claimed = properties.userID, claimed != user {
            return AMQPFailure(
                .preconditionFailed,
                "user_id property set to '\(claimed)' but authenticated user was '\(user)'", .basicPublish)
        }
        if let text = properties.expiration, let why = fault(ofExpiration: text) {
            return AMQPFailure(.preconditionFailed, "invalid expiration '\(text)': \(why)", .basicPublish)
        }
        for name in [HeaderName.cc, HeaderName.bcc] {
            guard let value = properties.headers[name] else { continue }
            if case .array = value { continue }
            let type = AMQPWording.typeName(of: value)
            return AMQPFailure(
                .preconditionFailed, "invalid message: {unacceptable_type_in_header,\"\(name)\",\(type)}",
                .basicPublish)
        }
        return nil
    }

    private static func fault(ofExpiration text: String) -> String? {
        guard let value = Int64(text) else { return "no_integer" }
        if value < 0 { return "{value_negative,\(value)}" }
        return value > QueueSettings.millisecondsMax ? "{value_too_big,\(value)}" : nil
    }
}
