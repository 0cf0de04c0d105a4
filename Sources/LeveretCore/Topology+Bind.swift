// Adding and removing bindings. A binding is one and the same whatever the order of its arguments.

import DequeModule

extension Topology {
    /// Adds a binding; false if it was there. Throws 404 when an end of it is missing, 403 for the default
    /// exchange, 406 for a key or arguments that make no sense.
    mutating func bind(_ b: Binding) throws(BrokerError) -> Bool {
        let source = try sourceIndex(of: b)
        let destination = try destination(of: b.target)
        try ShortString.check(b.routingKey, "a routing key")
        try FieldTableCodec.check(b.arguments)
        let canonical = Self.canonical(b)
        guard ids[canonical] == nil else { return false }
        let id = nextID
        try states[source]?.table.add(b, id: id, destination: destination)
        nextID += 1
        bindingOrder.insert(id)
        records[id] = BindingRecord(binding: b, source: source, destination: destination)
        ids[canonical] = id
        idsByTarget[b.target, default: []].insert(id)
        changed(source)
        return true
    }

    /// Puts a binding back that the store kept, unless an end of it is missing.
    mutating func restore(_ b: Binding) { _ = try? bind(b) }

    /// Removes a binding, and its source if that deletes itself. One that isn't there is nothing to remove.
    /// Throws 404 when an end of it is missing, 403 for the default exchange.
    mutating func unbind(_ b: Binding) throws(BrokerError) -> TopologyRemoval {
        let source = try sourceIndex(of: b)
        _ = try destination(of: b.target)
        var removal = TopologyRemoval()
        guard let id = ids[Self.canonical(b)] else { return removal }
        forget([id], into: &removal)
        if let target = takeOutIfDone(source, into: &removal) { removeBindings(to: target, into: &removal) }
        return removal
    }

    /// Removes all bindings that lead to `target`, and sources that delete themselves, with those that lead to them.
    mutating func removeBindings(to target: BindingTarget, into removal: inout TopologyRemoval) {
        // One after another: a chain of exchanges may be longer than the stack.
        var targets: Deque = [target]
        while let target = targets.popFirst() {
            guard let gone = idsByTarget[target]?.sorted() else { continue }
            var sources: [Int] = []
            for id in gone {
                if let source = records[id]?.source, sources.last != source { sources.append(source) }
            }
            forget(gone, into: &removal)
            for source in sources {
                if let target = takeOutIfDone(source, into: &removal) { targets.append(target) }
            }
        }
    }

    /// Takes bindings out of every index; their ids ascend.
    mutating func forget(_ gone: [Int], into removal: inout TopologyRemoval) {
        var bySource: [Int: [BindingTable.Filed]] = [:]
        for id in gone {
            guard let record = records.removeValue(forKey: id) else { continue }
            bindingOrder.remove(id)
            let binding = record.binding
            ids[Self.canonical(binding)] = nil
            idsByTarget[binding.target]?.remove(id)
            if idsByTarget[binding.target]?.isEmpty == true { idsByTarget[binding.target] = nil }
            removal.bindings.append(binding)
            bySource[record.source, default: []].append((id, binding, record.destination))
        }
        for (source, filed) in bySource {
            states[source]?.table.remove(filed)
            changed(source)
        }
    }

    /// Takes an exchange out that deletes itself and has lost its last binding.
    private mutating func takeOutIfDone(_ index: Int, into removal: inout TopologyRemoval) -> BindingTarget? {
        guard let state = states[index], state.definition.isAutoDelete, state.table.ids.isEmpty else {
            return nil
        }
        return takeOut(index, into: &removal)
    }

    private mutating func changed(_ source: Int) {
        states[source]?.forgetRoutes()
        generation += 1
        linkedGeneration += 1
    }

    private func sourceIndex(of b: Binding) throws(BrokerError) -> Int {
        try Self.refuseDefault(b.source)
        return try index(of: b.source)
    }

    private func destination(of target: BindingTarget) throws(BrokerError) -> Destination {
        switch target {
        case .queue(let name):
            guard let slot = slot(of: name) else {
                throw .noQueue(name, in: vhost)
            }
            return Destination(slot)
        case .exchange(let name):
            try Self.refuseDefault(name)
            return Destination(exchange: try index(of: name))
        }
    }

    private static func canonical(_ b: Binding) -> Binding {
        guard b.arguments.fields.count > 1 else { return b }
        var sorted = b
        sorted.arguments = FieldTable(unique: b.arguments.fieldsByName)
        return sorted
    }
}
