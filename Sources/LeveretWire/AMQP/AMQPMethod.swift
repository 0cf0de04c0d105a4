// What clients send: every method that RabbitMQ takes from them, with its arguments, decoded from a method frame's
// payload. The order and types of the arguments are those of AMQP 0-9-1's XML and RabbitMQ's extensions to it.

import LeveretCore
import NIOCore

/// connection.start-ok: who the client is, and how it proves that.
struct AMQPStartOk: Sendable {
    var properties: FieldTable
    var mechanism: String
    var response: [UInt8]
}

/// connection.tune-ok: what the client has settled on.
struct AMQPTuneOk: Sendable {
    var channelMax: UInt16
    var frameMax: UInt32
    var heartbeat: UInt16
}

/// exchange.bind, exchange.unbind, queue.bind and queue.unbind.
struct AMQPBind: Sendable {
    /// The exchange or queue that gets the messages.
    var target: String
    var source: String
    var routingKey: String
    var arguments: FieldTable
    var isSilent: Bool
}

/// basic.consume.
struct AMQPConsume: Sendable {
    var queue: String
    var tag: String
    var noAck: Bool
    var isExclusive: Bool
    var isSilent: Bool
    var arguments: FieldTable
}

/// exchange.declare.
struct AMQPExchangeDeclare: Sendable {
    var name: String
    var type: String
    var isPassive: Bool
    var isDurable: Bool
    var isAutoDelete: Bool
    var isInternal: Bool
    var isSilent: Bool
    var arguments: FieldTable
}

/// queue.declare.
struct AMQPQueueDeclare: Sendable {
    var definition: QueueDefinition
    var isPassive: Bool
    var isSilent: Bool
}

/// A method that a client sends. `isSilent` is AMQP's no-wait: no answer is wanted.
enum AMQPMethod: Sendable {
    case connectionStartOk(AMQPStartOk)
    case connectionSecureOk
    case connectionTuneOk(AMQPTuneOk)
    case connectionOpen(host: String)
    case connectionClose
    case connectionCloseOk
    case connectionUpdateSecret
    case channelOpen
    case channelFlow(isActive: Bool)
    case channelFlowOk
    case channelClose
    case channelCloseOk
    case exchangeDeclare(AMQPExchangeDeclare)
    case exchangeDelete(String, ifUnused: Bool, isSilent: Bool)
    case exchangeBind(AMQPBind)
    case exchangeUnbind(AMQPBind)
    case queueDeclare(AMQPQueueDeclare)
    case queueBind(AMQPBind)
    case queueUnbind(AMQPBind)
    case queuePurge(String, isSilent: Bool)
    case queueDelete(String, ifUnused: Bool, ifEmpty: Bool, isSilent: Bool)
    case qos(bytes: UInt32, count: UInt16, isGlobal: Bool)
    case consume(AMQPConsume)
    case cancel(String, isSilent: Bool)
    case publish(exchange: String, routingKey: String, isMandatory: Bool, isImmediate: Bool)
    case get(String, noAck: Bool)
    case ack(DeliveryTag, multiple: Bool)
    case reject(DeliveryTag, requeue: Bool)
    case nack(DeliveryTag, multiple: Bool, requeue: Bool)
    case recover(requeue: Bool)
    case recoverAsync(requeue: Bool)
    case confirmSelect(isSilent: Bool)
    case txSelect
    case txCommit
    case txRollback
}

extension AMQPMethod {
    /// The table that the client put into it.
    var arguments: FieldTable? {
        switch self {
        case .connectionStartOk(let start): start.properties
        case .exchangeDeclare(let declare): declare.arguments
        case .exchangeBind(let bind), .exchangeUnbind(let bind), .queueBind(let bind), .queueUnbind(let bind):
            bind.arguments
        case .queueDeclare(let declare): declare.definition.arguments
        case .consume(let consume): consume.arguments
        default: nil
        }
    }

    /// Decodes a method frame's payload.
    static func decode(_ payload: ByteBuffer) throws(AMQPFailure) -> (AMQPMethodID, AMQPMethod) {
        var payload = payload
        guard let number = payload.readInteger(as: UInt32.self) else {
            throw .frameError("cannot decode <<>>")
        }
        var reader = AMQPReader(payload, of: number)
        guard let id = AMQPMethodID(rawValue: number), let method = try decode(id, &reader) else {
            throw .frameError("cannot decode <<>>", method: number)
        }
        return (id, method)
    }

    private static func decode(
        _ id: AMQPMethodID, _ reader: inout AMQPReader
    ) throws(AMQPFailure) -> AMQPMethod? {
        switch id.rawValue >> 16 {
        case 10: try connection(id, &reader)
        case 20: try channel(id, &reader)
        case 40: try exchange(id, &reader)
        case 50: try queue(id, &reader)
        case 60: try basic(id, &reader)
        default: try transactional(id, &reader)
        }
    }

    private static func connection(
        _ id: AMQPMethodID, _ reader: inout AMQPReader
    ) throws(AMQPFailure) -> AMQPMethod? {
        switch id {
        case .connectionStartOk:
            return .connectionStartOk(
                AMQPStartOk(
                    properties: try reader.table(), mechanism: try reader.shortString(),
                    response: try reader.longString()))
        case .connectionSecureOk: return .connectionSecureOk
        case .connectionTuneOk:
            return .connectionTuneOk(
                AMQPTuneOk(
                    channelMax: try reader.integer(), frameMax: try reader.integer(),
                    heartbeat: try reader.integer()))
        case .connectionOpen: return .connectionOpen(host: try reader.shortString())
        case .connectionClose: return .connectionClose
        case .connectionCloseOk: return .connectionCloseOk
        case .connectionUpdateSecret: return .connectionUpdateSecret
        default: return nil
        }
    }

    private static func channel(
        _ id: AMQPMethodID, _ reader: inout AMQPReader
    ) throws(AMQPFailure) -> AMQPMethod? {
        switch id {
        case .channelOpen: .channelOpen
        case .channelFlow: .channelFlow(isActive: try reader.bits()[0])
        case .channelFlowOk: .channelFlowOk
        case .channelClose: .channelClose
        case .channelCloseOk: .channelCloseOk
        default: nil
        }
    }

    private static func exchange(
        _ id: AMQPMethodID, _ reader: inout AMQPReader
    ) throws(AMQPFailure) -> AMQPMethod? {
        _ = try reader.integer(UInt16.self)
        switch id {
        case .exchangeDeclare:
            let (name, type) = (try reader.name(), try reader.shortString())
            let bits = try reader.bits()
            return .exchangeDeclare(
                AMQPExchangeDeclare(
                    name: name, type: type, isPassive: bits[0], isDurable: bits[1], isAutoDelete: bits[2],
                    isInternal: bits[3], isSilent: bits[4], arguments: try reader.table()))
        case .exchangeDelete:
            let name = try reader.name()
            let bits = try reader.bits()
            return .exchangeDelete(name, ifUnused: bits[0], isSilent: bits[1])
        case .exchangeBind: return .exchangeBind(try bind(&reader))
        case .exchangeUnbind: return .exchangeUnbind(try bind(&reader))
        default: return nil
        }
    }

    private static func bind(
        _ reader: inout AMQPReader, hasSilence: Bool = true
    ) throws(AMQPFailure) -> AMQPBind {
        let (target, source, key) = (
            try reader.name(), try reader.name(), try reader.shortString()
        )
        let isSilent = hasSilence ? try reader.bits()[0] : false
        return AMQPBind(
            target: target, source: source, routingKey: key, arguments: try reader.table(), isSilent: isSilent
        )
    }

    private static func queue(
        _ id: AMQPMethodID, _ reader: inout AMQPReader
    ) throws(AMQPFailure) -> AMQPMethod? {
        _ = try reader.integer(UInt16.self)
        switch id {
        case .queueDeclare:
            let name = try reader.name()
            let bits = try reader.bits()
            let definition = QueueDefinition(
                QueueName(name), durable: bits[1], exclusive: bits[2], autoDelete: bits[3],
                arguments: try reader.table())
            return .queueDeclare(
                AMQPQueueDeclare(definition: definition, isPassive: bits[0], isSilent: bits[4]))
        case .queueBind: return .queueBind(try bind(&reader))
        case .queueUnbind: return .queueUnbind(try bind(&reader, hasSilence: false))
        case .queuePurge: return .queuePurge(try reader.shortString(), isSilent: try reader.bits()[0])
        case .queueDelete:
            let name = try reader.name()
            let bits = try reader.bits()
            return .queueDelete(name, ifUnused: bits[0], ifEmpty: bits[1], isSilent: bits[2])
        default: return nil
        }
    }

    private static func basic(
        _ id: AMQPMethodID, _ reader: inout AMQPReader
    ) throws(AMQPFailure) -> AMQPMethod? {
        switch id {
        case .basicQos:
            return .qos(
                bytes: try reader.integer(), count: try reader.integer(), isGlobal: try reader.bits()[0])
        case .basicConsume:
            _ = try reader.integer(UInt16.self)
            let (queue, tag) = (try reader.shortString(), try reader.shortString())
            let bits = try reader.bits()
            return .consume(
                AMQPConsume(
                    queue: queue, tag: tag, noAck: bits[1], isExclusive: bits[2], isSilent: bits[3],
                    arguments: try reader.table()))
        case .basicCancel: return .cancel(try reader.shortString(), isSilent: try reader.bits()[0])
        case .basicPublish:
            _ = try reader.integer(UInt16.self)
            let (exchange, key) = (try reader.shortString(), try reader.shortString())
            let bits = try reader.bits()
            return .publish(
                exchange: exchange, routingKey: key, isMandatory: bits[0], isImmediate: bits[1])
        case .basicGet:
            _ = try reader.integer(UInt16.self)
            return .get(try reader.shortString(), noAck: try reader.bits()[0])
        case .basicAck:
            return .ack(DeliveryTag(try reader.integer()), multiple: try reader.bits()[0])
        case .basicReject:
            return .reject(DeliveryTag(try reader.integer()), requeue: try reader.bits()[0])
        case .basicNack:
            let tag = DeliveryTag(try reader.integer())
            let bits = try reader.bits()
            return .nack(tag, multiple: bits[0], requeue: bits[1])
        case .basicRecover: return .recover(requeue: try reader.bits()[0])
        case .basicRecoverAsync: return .recoverAsync(requeue: try reader.bits()[0])
        default: return nil
        }
    }

    private static func transactional(
        _ id: AMQPMethodID, _ reader: inout AMQPReader
    ) throws(AMQPFailure) -> AMQPMethod? {
        switch id {
        case .confirmSelect: .confirmSelect(isSilent: try reader.bits()[0])
        case .txSelect: .txSelect
        case .txCommit: .txCommit
        case .txRollback: .txRollback
        default: nil
        }
    }
}
