// Policies: which counts for a queue or an exchange, and what follows when that changes.

import LeveretCore

extension ReferenceModel {
    func setPolicy(_ call: Call, _ ticket: Ticket) {
        let before = durableChanges
        switch call {
        case .setPolicy(let name, let pattern, let appliesTo, let priority, let isOperator, let arguments):
            policies.removeAll { $0.name == name && $0.isOperator == isOperator }
            policies.append(
                Policy(
                    name, pattern: pattern, appliesTo: PolicyTarget(rawValue: appliesTo) ?? .all,
                    priority: priority, isOperator: isOperator, definition: fieldTable(arguments)))
            durableChanges += 1
        case .deletePolicy(let name, let isOperator):
            let count = policies.count
            policies.removeAll { $0.name == name && $0.isOperator == isOperator }
            if policies.count < count { durableChanges += 1 }
        default: break
        }
        let changed = before == durableChanges ? [] : queues.filter { obeyPolicies($0) }
        haveExchangesToObey = before != durableChanges
        for queue in changed { enforceLength(of: queue) }
        expect(ticket, "done", since: before)
    }

    /// Exchanges obey once what a policy made die in queues is on its way.
    func obeyLate() {
        guard haveExchangesToObey else { return }
        haveExchangesToObey = false
        exchanges = exchanges.map { obeying($0) }
    }

    /// Sees what counts for a queue. Returns whether that is something else now.
    @discardableResult
    func obeyPolicies(_ queue: ModelQueue) -> Bool {
        let isHidden = queue.name.plain.hasPrefix("leveret.")
        let matching = policies.filter { policy in
            [.all, .queues, .classicQueues].contains(policy.appliesTo) && !isHidden
                && policy.name.vhost == queue.name.vhost && matches(policy.pattern, queue.name.plain)
        }
        let arguments = effective(queue.definition.arguments, matching) { name, _ in
            name != "alternate-exchange"
        }
        guard arguments != queue.arguments else { return false }
        queue.lastUsed = now
        queue.obey(arguments)
        return true
    }

    /// An exchange as the policies make it.
    func obeying(_ exchange: ModelExchange) -> ModelExchange {
        let matching = policies.filter { policy in
            [.all, .exchanges].contains(policy.appliesTo) && !exchange.name.plain.isEmpty
                && policy.name.vhost == exchange.name.vhost && matches(policy.pattern, exchange.name.plain)
        }
        var exchange = exchange
        exchange.arguments = effective(exchange.declared, matching) { name, value in
            // No message is queued in an exchange.
            name == "alternate-exchange" || name == "x-deduplicate" && value != .string("while-queued")
        }
        return exchange
    }

    /// What counts of arguments and of the policies that match, as far as it means something.
    private func effective(
        _ declared: FieldTable, _ matching: [Policy], where isMeant: (String, FieldValue) -> Bool
    ) -> FieldTable {
        var arguments = declared
        let inOrder = matching.sorted {
            $0.priority != $1.priority ? $0.priority > $1.priority : $0.name < $1.name
        }
        for field in inOrder.first(where: { !$0.isOperator })?.definition.fields ?? []
        where arguments[field.name] == nil && isMeant(field.name, field.value) {
            arguments[field.name] = field.value
        }
        for field in inOrder.first(where: { $0.isOperator })?.definition.fields ?? []
        where isMeant(field.name, field.value) {
            if case .int(let number)? = arguments[field.name], case .int(let limit) = field.value,
                number <= limit
            {
                continue
            }
            arguments[field.name] = field.value
        }
        return arguments
    }

    private func matches(_ pattern: String, _ name: String) -> Bool {
        switch pattern {
        case "^q[01]$": name == "q0" || name == "q1"
        case "^x[01]$": name == "x0" || name == "x1"
        case "1|2": name.contains("1") || name.contains("2")
        default: name.contains(pattern) || pattern.isEmpty
        }
    }
}
