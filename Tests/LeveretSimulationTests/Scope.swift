// Virtual hosts in the model: it knows every queue, exchange and policy by a name with its virtual host before it, so
// that what has one name in two of them is two things that have nothing to do with each other.

import LeveretCore

extension String {
    /// The virtual host of a name of the model.
    var vhost: String { firstIndex(of: "|").map { String(self[..<$0]) } ?? "/" }

    /// The name as a client writes it.
    var plain: String { firstIndex(of: "|").map { String(self[index(after: $0)...]) } ?? self }

    /// This plain name in a virtual host.
    func placed(in vhost: String) -> String { vhost == "/" ? self : "\(vhost)|\(self)" }

    /// This plain name in the virtual host of another.
    func placed(beside other: String) -> String { placed(in: other.vhost) }
}

extension Call {
    /// The call with names as the model has them, in a virtual host.
    func placed(in vhost: String) -> Call {
        func placed(_ name: String) -> String { name.placed(in: vhost) }
        switch self {
        case .publish(let publication): return .publish(publication.placed(in: vhost))
        case .transaction(let parts):
            return .transaction(
                parts.map { part in
                    guard case .publish(let publication) = part else { return part }
                    return .publish(publication.placed(in: vhost))
                })
        case .get(let queue, let autoAck, let wait):
            return .get(queue: placed(queue), autoAck: autoAck, wait: wait)
        case .consume(
            let queue, let tag, let prefetch, let autoAck, let exclusive, let priority, let timeout,
            let countsFirst):
            return .consume(
                queue: placed(queue), tag: tag, prefetch: prefetch, autoAck: autoAck, exclusive: exclusive,
                priority: priority, timeout: timeout, countsFirst: countsFirst)
        case .purge(let queue): return .purge(queue: placed(queue))
        case .pause(let queue, let isPaused): return .pause(queue: placed(queue), isPaused: isPaused)
        case .peek(let queue, let state): return .peek(queue: placed(queue), state: state)
        case .cancelMessage(let queue, let position):
            return .cancelMessage(queue: placed(queue), position: position)
        case .edit(let queue, let position, let version, let delay, let content):
            return .edit(
                queue: placed(queue), position: position, version: version, delay: delay, content: content)
        case .move(let source, let toQueue, let toExchange, let key, let countMax, let condition):
            return .move(
                source: placed(source), toQueue: toQueue.map(placed), toExchange: toExchange.map(placed),
                key: key, countMax: countMax, condition: condition)
        case .settle, .settleAtCommit, .rollBack, .touch, .cancel, .prefetch, .recover, .enter,
            .createVirtualHost, .deleteVirtualHost,
            .limitVirtualHost:
            return self
        default: return topologyPlaced(placed)
        }
    }

    private func topologyPlaced(_ placed: (String) -> String) -> Call {
        switch self {
        case .declareExchange(
            let name, let type, let durable, let autoDelete, let isInternal, let alternate,
            let deduplicate):
            return .declareExchange(
                name: placed(name), type: type, durable: durable, autoDelete: autoDelete,
                isInternal: isInternal, alternate: alternate, deduplicate: deduplicate)
        case .deleteExchange(let name, let ifUnused):
            return .deleteExchange(name: placed(name), ifUnused: ifUnused)
        case .declareQueue(let name, let durable, let exclusive, let autoDelete, let arguments):
            return .declareQueue(
                name: placed(name), durable: durable, exclusive: exclusive, autoDelete: autoDelete,
                arguments: arguments)
        case .deleteQueue(let name, let ifUnused, let ifEmpty):
            return .deleteQueue(name: placed(name), ifUnused: ifUnused, ifEmpty: ifEmpty)
        case .bind(let source, let target, let toExchange, let key, let arguments):
            return .bind(
                source: placed(source), target: placed(target), toExchange: toExchange, key: key,
                arguments: arguments)
        case .unbind(let source, let target, let toExchange, let key, let arguments):
            return .unbind(
                source: placed(source), target: placed(target), toExchange: toExchange, key: key,
                arguments: arguments)
        case .setPolicy(let name, let pattern, let appliesTo, let priority, let isOperator, let arguments):
            return .setPolicy(
                name: placed(name), pattern: pattern, appliesTo: appliesTo, priority: priority,
                isOperator: isOperator, arguments: arguments)
        case .deletePolicy(let name, let isOperator):
            return .deletePolicy(name: placed(name), isOperator: isOperator)
        default: return self
        }
    }
}

extension Publication {
    fileprivate func placed(in vhost: String) -> Publication {
        var publication = self
        publication.exchange = exchange.placed(in: vhost)
        return publication
    }
}

extension RecoveredState {
    /// Every queue, named as the model does.
    var placedQueues: [RecoveredQueue] {
        virtualHosts.flatMap { host in
            host.queues.map { queue in
                var queue = queue
                queue.definition.name = QueueName(
                    queue.definition.name.rawValue.placed(in: host.name.rawValue))
                return queue
            }
        }
    }

    /// The names of every exchange in the file.
    var placedExchanges: [String] {
        virtualHosts.flatMap { host in
            host.exchanges.map { $0.name.rawValue.placed(in: host.name.rawValue) }
        }
    }

    /// Every binding.
    var placedBindings: [Binding] {
        virtualHosts.flatMap { host in
            host.bindings.map { binding in
                var binding = binding
                func placed(_ name: String) -> String { name.placed(in: host.name.rawValue) }
                binding.source = ExchangeName(placed(binding.source.rawValue))
                switch binding.target {
                case .queue(let name): binding.target = .queue(QueueName(placed(name.rawValue)))
                case .exchange(let name): binding.target = .exchange(ExchangeName(placed(name.rawValue)))
                }
                return binding
            }
        }
    }

    /// Every policy.
    var placedPolicies: [Policy] {
        virtualHosts.flatMap { host in
            host.policies.map { policy in
                var policy = policy
                policy.name = policy.name.placed(in: host.name.rawValue)
                return policy
            }
        }
    }
}
