// What the methods of the classes exchange, queue and basic ask of the broker.

import LeveretCore
import NIOCore

extension AMQPChannel {
    mutating func runExchange(
        _ id: AMQPMethodID, _ method: AMQPMethod, _ context: AMQPContext, into submissions: inout [Submission]
    ) throws(AMQPFailure) {
        switch method {
        case .exchangeDeclare(let declare):
            var definition = ExchangeDefinition(
                ExchangeName(declare.name), durable: declare.isDurable, autoDelete: declare.isAutoDelete,
                internal: declare.isInternal, arguments: declare.arguments)
            if !declare.isPassive {
                guard let type = ExchangeType(rawValue: declare.type) else {
                    throw AMQPFailure(.commandInvalid, "unknown exchange type '\(declare.type)'", id)
                }
                definition.type = type
            }
            ask(
                .declareExchange(definition, passive: declare.isPassive), id, .plain(.exchangeDeclareOk),
                isSilent: declare.isSilent, into: &submissions)
        case .exchangeDelete(let name, let ifUnused, let isSilent):
            ask(
                .deleteExchange(ExchangeName(name), ifUnused: ifUnused), id, .plain(.exchangeDeleteOk),
                isSilent: isSilent, into: &submissions)
        case .exchangeBind(let bind):
            let binding = Self.binding(bind, to: .exchange(ExchangeName(bind.target)))
            ask(.bind(binding), id, .plain(.exchangeBindOk), isSilent: bind.isSilent, into: &submissions)
        case .exchangeUnbind(let bind):
            let binding = Self.binding(bind, to: .exchange(ExchangeName(bind.target)))
            ask(.unbind(binding), id, .plain(.exchangeUnbindOk), isSilent: bind.isSilent, into: &submissions)
        default: break
        }
    }

    mutating func runQueue(
        _ id: AMQPMethodID, _ method: AMQPMethod, _ context: AMQPContext,
        into submissions: inout [Submission],
        out: inout ByteBuffer
    ) throws(AMQPFailure) {
        switch method {
        case .queueDeclare(let declare): try run(declare, id, context, into: &submissions, out: &out)
        case .queueBind(let bind):
            let binding = try binding(bind, id)
            ask(.bind(binding), id, .plain(.queueBindOk), isSilent: bind.isSilent, into: &submissions)
        case .queueUnbind(let bind):
            ask(.unbind(try binding(bind, id)), id, .plain(.queueUnbindOk), into: &submissions)
        case .queuePurge(let name, let isSilent):
            ask(
                .purge(try queue(name, id)), id, .counted(.queuePurgeOk), isSilent: isSilent,
                into: &submissions)
        case .queueDelete(let name, let ifUnused, let ifEmpty, let isSilent):
            ask(
                .deleteQueue(try queue(name, id), ifUnused: ifUnused, ifEmpty: ifEmpty), id,
                .counted(.queueDeleteOk), isSilent: isSilent, into: &submissions)
        default: break
        }
    }

    private mutating func run(
        _ declare: AMQPQueueDeclare, _ id: AMQPMethodID, _ context: AMQPContext,
        into submissions: inout [Submission], out: inout ByteBuffer
    ) throws(AMQPFailure) {
        let name = declare.definition.name.rawValue
        if name == AMQPDirectReply.queue, replyQueue != nil {
            return answerOwn(id, .declaredReply(name), isSilent: declare.isSilent, out: &out)
        }
        if !declare.isPassive, let fault = AMQPWording.fault(of: declare.definition, host: context.host) {
            throw AMQPFailure(.preconditionFailed, fault, id)
        }
        ask(
            .declareQueue(declare.definition, passive: declare.isPassive), id, .declared,
            isSilent: declare.isSilent, into: &submissions)
    }

    mutating func runBasic(
        _ id: AMQPMethodID, _ method: AMQPMethod, _ context: AMQPContext,
        into submissions: inout [Submission],
        out: inout ByteBuffer
    ) throws(AMQPFailure) {
        switch method {
        case .ack(let tag, let multiple):
            try settle(Settlement(.ack, tag, multiple: multiple), id, context, into: &submissions)
        case .nack(let tag, let multiple, let requeue):
            let outcome = requeue ? Settlement.Outcome.requeue : .deadLetter
            try settle(Settlement(outcome, tag, multiple: multiple), id, context, into: &submissions)
        case .reject(let tag, let requeue):
            try settle(Settlement(requeue ? .fail : .deadLetter, tag), id, context, into: &submissions)
        case .qos(let bytes, let count, let isGlobal):
            guard bytes == 0 else { throw AMQPFailure(.notImplemented, "prefetch_size!=0 (\(bytes))", id) }
            guard !isGlobal else {
                return ask(.setSessionPrefetch(Int(count)), id, .plain(.basicQosOk), into: &submissions)
            }
            prefetch = Int(count)
            answerOwn(id, .plain(.basicQosOk), out: &out)
        case .consume(let consume): try run(consume, id, into: &submissions)
        case .cancel(let tag, let isSilent):
            ask(
                .cancel(ConsumerTag(tag), requeue: false), id, .cancelled(tag), isSilent: isSilent,
                into: &submissions)
        case .get(let name, let noAck):
            ask(.get(try queue(name, id), autoAck: noAck, waitMilliseconds: 0), id, .got, into: &submissions)
        case .recover(let requeue):
            guard requeue else { throw AMQPFailure(.notImplemented, "requeue=false", id) }
            ask(.recover, id, .plain(.basicRecoverOk), into: &submissions)
        case .recoverAsync(let requeue):
            guard requeue else { throw AMQPFailure(.notImplemented, "requeue=false", id) }
            ask(.recover, id, .plain(.basicRecoverOk), isSilent: true, into: &submissions)
        default: break
        }
    }

    private mutating func settle(
        _ settlement: Settlement, _ id: AMQPMethodID, _ context: AMQPContext,
        into submissions: inout [Submission]
    ) throws(AMQPFailure) {
        var request = Request.settle(settlement)
        if case .transactional(var transaction) = mode {
            mode = .plain
            try transaction.addSettlement(id, context.limits)
            mode = .transactional(transaction)
            request = .settleAtCommit(settlement)
        }
        settling += 1
        submissions.append(Submission(AMQPTicket.settle(id), request))
    }

    private mutating func run(
        _ consume: AMQPConsume, _ id: AMQPMethodID, into submissions: inout [Submission]
    ) throws(AMQPFailure) {
        if consume.queue == AMQPDirectReply.queue {
            guard consume.noAck else {
                throw AMQPFailure(.preconditionFailed, "reply consumer cannot acknowledge", id)
            }
            guard replyQueue == nil else {
                throw AMQPFailure(.preconditionFailed, "reply consumer already set", id)
            }
            return ask(.declareReplyQueue, id, .replyQueue(consume), into: &submissions)
        }
        try start(consume, on: try queue(consume.queue, id), id, into: &submissions)
    }

    /// Starts a consumer.
    mutating func start(
        _ consume: AMQPConsume, on queue: QueueName, _ id: AMQPMethodID, into submissions: inout [Submission]
    ) throws(AMQPFailure) {
        var priority: Int32 = 0
        if let value = consume.arguments["x-priority"] {
            guard case .int(let number) = value else {
                throw AMQPFailure(
                    .preconditionFailed,
                    "invalid arg 'x-priority' for consumer of queue '\(queue)': "
                        + "\"expected integer, got \(AMQPWording.typeName(of: value))\"", id)
            }
            priority = Int32(clamping: number)
        }
        let tag = consume.tag.isEmpty ? nil : ConsumerTag(consume.tag)
        let request = Consume(
            queue: queue, tag: tag, prefetch: consume.noAck ? 0 : prefetch, autoAck: consume.noAck,
            exclusive: consume.isExclusive, priority: priority)
        ask(.consume(request), id, .consuming, isSilent: consume.isSilent, into: &submissions)
    }

    // MARK: names

    /// The queue of this name; an empty one is the channel's last.
    private func queue(_ name: String, _ id: AMQPMethodID) throws(AMQPFailure) -> QueueName {
        guard name.isEmpty else { return QueueName(name) }
        guard let lastQueue else { throw AMQPFailure(.notFound, "no previously declared queue", id) }
        return QueueName(lastQueue)
    }

    private func binding(_ bind: AMQPBind, _ id: AMQPMethodID) throws(AMQPFailure) -> Binding {
        let target = try queue(bind.target, id)
        var binding = Self.binding(bind, to: .queue(target))
        // AMQP 0-9-1: with neither a queue nor a key, the key is the last queue's name.
        if bind.target.isEmpty, bind.routingKey.isEmpty { binding.routingKey = target.rawValue }
        return binding
    }

    private static func binding(_ bind: AMQPBind, to target: BindingTarget) -> Binding {
        Binding(
            source: ExchangeName(bind.source), target: target, routingKey: bind.routingKey,
            arguments: bind.arguments)
    }
}
