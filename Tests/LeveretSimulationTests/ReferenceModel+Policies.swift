// Policies: which counts for a queue, and what follows when that changes.

import LeveretCore

extension ReferenceModel {
    func setPolicy(_ call: Call, _ ticket: Ticket) {
        let before = durableChanges
        switch call {
        case .setPolicy(let name, let pattern, let priority, let isOperator, let arguments):
            policies.removeAll { $0.name == name && $0.isOperator == isOperator }
            policies.append(
                Policy(
                    name, pattern: pattern, appliesTo: .queues, priority: priority, isOperator: isOperator,
                    definition: fieldTable(arguments)))
            durableChanges += 1
        case .deletePolicy(let name, let isOperator):
            let count = policies.count
            policies.removeAll { $0.name == name && $0.isOperator == isOperator }
            if policies.count < count { durableChanges += 1 }
        default: break
        }
        let changed = before == durableChanges ? [] : queues.filter { obeyPolicies($0) }
        for queue in changed { enforceLength(of: queue) }
        expect(ticket, "done", since: before)
    }

    /// Sees what counts for a queue. Returns whether that is something else now.
    @discardableResult
    func obeyPolicies(_ queue: ModelQueue) -> Bool {
        var arguments = queue.definition.arguments
        let matching = policies.filter { matches($0.pattern, queue.name) }.sorted {
            $0.priority != $1.priority ? $0.priority > $1.priority : $0.name < $1.name
        }
        for field in matching.first(where: { !$0.isOperator })?.definition.fields ?? []
        where arguments[field.name] == nil {
            arguments[field.name] = field.value
        }
        for field in matching.first(where: { $0.isOperator })?.definition.fields ?? [] {
            if case .int(let number)? = arguments[field.name], case .int(let limit) = field.value,
                number <= limit
            {
                continue
            }
            arguments[field.name] = field.value
        }
        guard arguments != queue.arguments else { return false }
        queue.lastUsed = now
        queue.obey(arguments)
        return true
    }

    private func matches(_ pattern: String, _ name: String) -> Bool {
        if name.hasPrefix("leveret.") { return false }
        return switch pattern {
        case "q": name.contains("q")
        case "^q[01]$": name == "q0" || name == "q1"
        case "1|2": name.contains("1") || name.contains("2")
        case "no": name.contains("no")
        default: true
        }
    }
}
