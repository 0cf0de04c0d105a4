// Where a message goes, by trying every binding.

import LeveretCore

extension ReferenceModel {
    /// The queues a message reaches, each once; `nil` when the exchange does not exist.
    func route(exchange name: String, keys: [String], headers: [String: Int64]) -> [ModelQueue]? {
        guard exchange(name) != nil else { return nil }
        var waiting = [name]
        var seen: Set<String> = [name]
        var reached: [ModelQueue] = []
        while !waiting.isEmpty {
            let source = waiting.removeFirst()
            guard let exchange = exchange(source) else { continue }
            var found: [(target: String, toExchange: Bool)] = []
            if source.plain.isEmpty {
                found = keys.map { $0.placed(beside: source) }.filter { queue($0) != nil }.map { ($0, false) }
            }
            for binding in bindings where binding.source == source {
                if keys.contains(where: { matches(binding, exchange.type, $0, headers) }) {
                    found.append((binding.target, binding.toExchange))
                }
            }
            if found.isEmpty, let alternate = exchange.alternate { found = [(alternate, true)] }
            for hit in found {
                if hit.toExchange {
                    if seen.insert(hit.target).inserted { waiting.append(hit.target) }
                } else if let queue = queue(hit.target), !reached.contains(where: { $0 === queue }) {
                    reached.append(queue)
                }
            }
        }
        return reached
    }

    private func matches(
        _ binding: ModelBinding, _ type: String, _ key: String, _ headers: [String: Int64]
    ) -> Bool {
        switch type {
        case "direct": return binding.key == key
        case "fanout": return true
        case "topic":
            return topicMatches(
                key.split(separator: ".", omittingEmptySubsequences: false)[...],
                binding.key.split(separator: ".", omittingEmptySubsequences: false)[...])
        default: return headersMatch(binding.arguments, headers)
        }
    }

    private func topicMatches(_ words: ArraySlice<Substring>, _ pattern: ArraySlice<Substring>) -> Bool {
        guard let first = pattern.first else { return words.isEmpty }
        if first == "#" {
            return topicMatches(words, pattern.dropFirst())
                || (!words.isEmpty && topicMatches(words.dropFirst(), pattern))
        }
        guard let word = words.first, first == "*" || first == word else { return false }
        return topicMatches(words.dropFirst(), pattern.dropFirst())
    }

    private func headersMatch(_ arguments: [String: ArgumentValue], _ headers: [String: Int64]) -> Bool {
        let wanted = arguments.filter { !$0.key.hasPrefix("x-") }
        let hits = wanted.filter { name, value in
            if case .number(let number) = value { headers[name] == number } else { false }
        }
        return switch arguments["x-match"] {
        case .text("any"): !hits.isEmpty
        case .text("none"): hits.isEmpty
        default: hits.count == wanted.count
        }
    }

    // MARK: - Topology

    /// Removes bindings, then exchanges that lost their last one and wanted to go with it.
    func removeBindings(where isGone: (ModelBinding) -> Bool) {
        let gone = bindings.filter(isGone)
        guard !gone.isEmpty else { return }
        bindings.removeAll(where: isGone)
        for binding in gone where binding.isDurable(in: self) { durableChanges += 1 }
        for name in Set(gone.map(\.source)) {
            guard let exchange = exchange(name), exchange.isAutoDelete else { continue }
            if !bindings.contains(where: { $0.source == name }) { removeExchange(name) }
        }
    }

    func removeExchange(_ name: String) {
        guard let exchange = exchange(name) else { return }
        if exchange.isDurable { durableChanges += 1 }
        let gone: (ModelBinding) -> Bool = { $0.source == name || ($0.toExchange && $0.target == name) }
        let before = bindings.filter(gone)
        bindings.removeAll(where: gone)
        exchanges.removeAll { $0.name == name }
        seen["x\(name)"] = nil
        for source in Set(before.map(\.source)) where source != name {
            guard let other = self.exchange(source), other.isAutoDelete else { continue }
            if !bindings.contains(where: { $0.source == source }) { removeExchange(source) }
        }
    }
}

extension ModelBinding {
    /// It survives a restart: both its ends do.
    func isDurable(in model: ReferenceModel) -> Bool {
        guard model.exchange(source)?.isDurable == true else { return false }
        return toExchange ? model.exchange(target)?.isDurable == true : model.queue(target)?.isDurable == true
    }
}
