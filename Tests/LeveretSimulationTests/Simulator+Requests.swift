// Calls as the core takes them.

@testable import LeveretCore

extension Simulator {
    private func message(_ publication: Publication, ids: inout [Int]) -> Message {
        let id = nextMessage
        nextMessage += 1
        ids.append(id)
        var properties = MessageProperties()
        properties.expiration = publication.expiration
        properties.priority = publication.priority
        properties.messageID = publication.dedupID
        for (name, value) in publication.headers.sorted(by: { $0.key < $1.key }) {
            properties.headers[name] = .int(value)
        }
        if let delay = publication.delay { properties.headers["x-delay"] = .int(delay) }
        if !publication.cc.isEmpty { properties.headers["CC"] = .array(publication.cc.map { .string($0) }) }
        return Message(
            exchange: ExchangeName(publication.exchange), routingKey: publication.key,
            properties: properties.isEmpty ? nil : properties, isPersistent: publication.persistent,
            body: body(of: id, size: publication.size, filledWith: ModelMessage.fill))
    }

    private func settlement(_ settling: Settling) -> Settlement {
        let outcome: Settlement.Outcome =
            switch settling.outcome {
            case .ack: .ack
            case .requeue: .requeue
            case .fail: .fail
            case .deadLetter: .deadLetter
            }
        return Settlement(
            outcome, DeliveryTag(settling.tag), multiple: settling.multiple,
            delayMilliseconds: settling.delay)
    }

    /// The request of a session in this virtual host.
    func request(for call: Call, in vhost: String, ids: inout [Int]) -> Request {
        switch call {
        case .publish(let publication):
            return .publish(message(publication, ids: &ids), mandatory: publication.mandatory)
        case .transaction(let parts):
            var requests: [Request] = []
            for part in parts {
                switch part {
                case .publish(let publication):
                    requests.append(
                        .publish(message(publication, ids: &ids), mandatory: publication.mandatory))
                case .settle(let settling): requests.append(.settle(settlement(settling)))
                }
            }
            return .transaction(requests)
        case .settle(let settling): return .settle(settlement(settling))
        case .settleAtCommit(let settling): return .settleAtCommit(settlement(settling))
        case .rollBack: return .rollBack
        case .get(let queue, let autoAck, let wait):
            return .get(QueueName(queue), autoAck: autoAck, waitMilliseconds: wait)
        case .consume(
            let queue, let tag, let prefetch, let autoAck, let exclusive, let priority, let timeout,
            let countsFirst):
            return .consume(
                Consume(
                    queue: QueueName(queue), tag: ConsumerTag(tag), prefetch: prefetch, autoAck: autoAck,
                    exclusive: exclusive, priority: priority, timeoutMilliseconds: timeout,
                    countsFirst: countsFirst))
        case .touch(let tag, let milliseconds): return .touch(DeliveryTag(tag), forMilliseconds: milliseconds)
        case .cancel(let tag, let requeue): return .cancel(ConsumerTag(tag), requeue: requeue)
        case .prefetch(let count): return .setSessionPrefetch(count)
        case .recover: return .recover
        case .setPolicy(let name, let pattern, let appliesTo, let priority, let isOperator, let arguments):
            return .setPolicy(
                Policy(
                    name, pattern: pattern, appliesTo: PolicyTarget(rawValue: appliesTo) ?? .all,
                    priority: priority, isOperator: isOperator, definition: fieldTable(arguments)))
        case .deletePolicy(let name, let isOperator): return .deletePolicy(name, isOperator: isOperator)
        case .pause(let queue, let isPaused): return .setPaused(QueueName(queue), isPaused)
        case .purge(let queue): return .purge(QueueName(queue))
        case .peek(let queue, let state):
            return .peek(Peek(QueueName(queue), state: Peek.State(rawValue: state) ?? .ready))
        case .cancelMessage(let queue, let position):
            return .cancelMessage(QueueName(queue), MessageNumber(position))
        case .edit(let queue, let position, let version, let delay, let content):
            var edit = MessageEdit(QueueName(queue), MessageNumber(position), delayMilliseconds: delay)
            edit.version = version
            if let content { fill(&edit, with: content, in: vhost) }
            return .edit(edit)
        case .move(let source, let toQueue, let toExchange, let key, let countMax, let condition):
            let destination: Move.Destination =
                toQueue.map { .queue(QueueName($0)) }
                ?? .exchange(ExchangeName(toExchange ?? ""), routingKey: key)
            return .move(
                Move(
                    from: QueueName(source), to: destination, countMax: countMax,
                    where: condition?.rawValue))
        default: return topologyRequest(for: call)
        }
    }

    private func topologyRequest(for call: Call) -> Request {
        switch call {
        case .enter(let name): return .enter(VirtualHostName(name))
        case .createVirtualHost(let name): return .createVirtualHost(VirtualHostName(name))
        case .deleteVirtualHost(let name): return .deleteVirtualHost(VirtualHostName(name))
        case .limitVirtualHost(let name, let queuesMax):
            return .limitVirtualHost(VirtualHostName(name), VirtualHostLimits(queuesMax: queuesMax))
        case .declareExchange(
            let name, let type, let durable, let autoDelete, let isInternal, let alternate,
            let deduplicate):
            return .declareExchange(
                ExchangeDefinition(
                    ExchangeName(name), type: ExchangeType(rawValue: type) ?? .direct, durable: durable,
                    autoDelete: autoDelete, internal: isInternal,
                    arguments: exchangeArguments(alternate, deduplicate)),
                passive: false)
        case .deleteExchange(let name, let ifUnused):
            return .deleteExchange(ExchangeName(name), ifUnused: ifUnused)
        case .declareQueue(let name, let durable, let exclusive, let autoDelete, let arguments):
            return .declareQueue(
                QueueDefinition(
                    QueueName(name), durable: durable, exclusive: exclusive, autoDelete: autoDelete,
                    arguments: fieldTable(arguments)), passive: false)
        case .deleteQueue(let name, let ifUnused, let ifEmpty):
            return .deleteQueue(QueueName(name), ifUnused: ifUnused, ifEmpty: ifEmpty)
        case .bind(let source, let target, let toExchange, let key, let arguments):
            return .bind(binding(source, target, toExchange, key, arguments))
        case .unbind(let source, let target, let toExchange, let key, let arguments):
            return .unbind(binding(source, target, toExchange, key, arguments))
        default: return .recover
        }
    }

    private func binding(
        _ source: String, _ target: String, _ toExchange: Bool, _ key: String,
        _ arguments: [String: ArgumentValue]
    ) -> Binding {
        Binding(
            source: ExchangeName(source),
            target: toExchange ? .exchange(ExchangeName(target)) : .queue(QueueName(target)), routingKey: key,
            arguments: fieldTable(arguments))
    }

    /// Makes an edit change what a message is; its number stays in its body.
    private func fill(_ edit: inout MessageEdit, with content: Content, in vhost: String) {
        edit.routingKey = content.key
        edit.ttlMilliseconds = content.ttl
        edit.headers = fieldTable(content.headers.mapValues { .number($0) })
        let queue = model.queue(edit.queue.rawValue.placed(in: vhost))
        let position = edit.position.rawValue
        let copy = queue.flatMap { queue in (queue.ready + queue.delayed).first { $0.number == position } }
        edit.body = content.size.map {
            body(of: copy?.message.id ?? 0, size: $0, filledWith: ModelMessage.fill(of: content))
        }
    }
}
