// Declaring and deleting exchanges: what is refused, with RabbitMQ's codes and words, and what goes along.

extension Topology {
    /// Adds an exchange unless an equal one is there; true if it was added. With `passive` it only checks
    /// that the name exists (404). Throws 406 when one that differs is there or an argument makes no sense,
    /// 403 for a reserved name.
    mutating func declare(_ d: ExchangeDefinition, passive: Bool) throws(BrokerError) -> Bool {
        try Self.refuseDefault(d.name)
        if passive {
            _ = try index(of: d.name)
            return false
        }
        if let current = exchange(d.name) {
            if let error = inequivalence(of: d, to: current) { throw error }
            return false
        }
        try ShortString.check(d.name.rawValue, "the name of an exchange")
        try FieldTableCodec.check(d.arguments)
        if let prefix = Self.reservedPrefix(of: d.name.rawValue) {
            throw BrokerError(
                .accessRefused,
                "exchange name '\(d.name)' contains reserved prefix '\(prefix)*'; choose another name")
        }
        _ = try ExchangeSettings(d, in: vhost)
        install(d)
        return true
    }

    /// Puts an exchange back that the store kept; false if its name is taken.
    @discardableResult
    mutating func restore(_ definition: ExchangeDefinition) -> Bool {
        guard indexes[definition.name] == nil else { return false }
        install(definition)
        return true
    }

    /// Deletes an exchange with the bindings from and to it. A missing one is nothing to delete, as in
    /// RabbitMQ. Throws 403 for a predeclared one, 406 when `ifUnused` and it has bindings.
    mutating func deleteExchange(_ name: ExchangeName, ifUnused: Bool) throws(BrokerError) -> TopologyRemoval
    {
        try Self.refuseDefault(name)
        guard let index = indexes[name] else { return TopologyRemoval() }
        if let prefix = Self.reservedPrefix(of: name.rawValue) {
            throw BrokerError(
                .accessRefused, "exchange '\(name)' has the reserved prefix '\(prefix)*' and can't be deleted"
            )
        }
        if ifUnused, let count = states[index]?.table.ids.count, count > 0 {
            throw BrokerError(
                .preconditionFailed,
                "exchange '\(name)' in vhost '\(vhost)' in use: it has \(count) bindings and if-unused was given"
            )
        }
        var removal = TopologyRemoval()
        if let target = takeOut(index, into: &removal) { removeBindings(to: target, into: &removal) }
        return removal
    }

    /// Takes an exchange out, then the bindings from it. Returns what the bindings to it lead to, which are the
    /// caller's to remove.
    mutating func takeOut(_ index: Int, into removal: inout TopologyRemoval) -> BindingTarget? {
        guard let state = states[index] else { return nil }
        let name = state.definition.name
        removal.exchanges.append(state.definition)
        // Its table goes as a whole: taken out one by one, many bindings would take long.
        states[index] = nil
        forget(state.table.ids.sorted(), into: &removal)
        indexes[name] = nil
        exchangeOrder.remove(name)
        freeIndexes.append(index)
        lastState = nil
        generation += 1
        linkedGeneration += 1
        return .exchange(name)
    }

    /// The index of an exchange, or 404.
    func index(of name: ExchangeName) throws(BrokerError) -> Int {
        guard let index = indexes[name] else {
            throw .noExchange(name, in: vhost)
        }
        return index
    }

    static func refuseDefault(_ name: ExchangeName) throws(BrokerError) {
        guard name != .default else {
            throw BrokerError(.accessRefused, "operation not permitted on the default exchange")
        }
    }

    /// The prefix that keeps a name from clients, if it has one.
    static func reservedPrefix(of name: String) -> String? {
        ["amq.", "leveret."].first { name.utf8.starts(with: $0.utf8) }
    }

    private func inequivalence(
        of received: ExchangeDefinition, to current: ExchangeDefinition
    )
        -> BrokerError?
    {
        let words = Inequivalence(entity: "exchange '\(current.name)' in vhost '\(vhost)'")
        return words.attribute("type", received: received.type.rawValue, current: current.type.rawValue)
            ?? words.attribute("durable", received: "\(received.isDurable)", current: "\(current.isDurable)")
            ?? words.attribute(
                "auto_delete", received: "\(received.isAutoDelete)", current: "\(current.isAutoDelete)")
            ?? words.attribute(
                "internal", received: "\(received.isInternal)", current: "\(current.isInternal)")
            ?? words.arguments(
                ExchangeArgument.compared, received: received.arguments, current: current.arguments)
    }
}
