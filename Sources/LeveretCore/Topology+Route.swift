// From a message to the queues it goes to. A way that depends on the key alone is remembered by the
// exchange it starts at, so that most publishes cost one look-up.

extension Topology {
    /// The queues that `message` goes to, each once, always in the same order; counts it. Throws 404 when
    /// its exchange doesn't exist, 403 when that is internal and the message no dead letter, 406 for `CC`
    /// or `BCC` that aren't strings.
    mutating func route(_ message: Message, isDeadLetter: Bool = false) throws(BrokerError) -> Route {
        let state = try isDeadLetter ? wantedState(of: message.exchange) : publishState(of: message.exchange)
        let route = try find(message, from: state)
        state.published += 1
        if route.queues.isEmpty, !isDeadLetter { state.unroutable += 1 }
        return route
    }

    /// The same as `route`, without counting the message.
    mutating func destinations(of message: Message) throws(BrokerError) -> [QueueSlot] {
        try find(message, from: try publishState(of: message.exchange)).queues
    }

    /// Every step that `message` would take, in order; empty when its exchange doesn't exist.
    mutating func explain(_ message: Message) -> [RouteStep] {
        guard let index = indexes[message.exchange] else { return [] }
        let extraKeys: [String]
        do throws(BrokerError) { extraKeys = try message.shared.map(Self.extraKeys) ?? [] } catch {
            return []
        }
        var walk = Walk(from: index, message: message, extraKeys: extraKeys)
        walk.steps = []
        perform(&walk)
        return walk.steps ?? []
    }

    private mutating func publishState(of name: ExchangeName) throws(BrokerError) -> ExchangeState {
        if let lastState, lastState.definition.name == name { return lastState }
        let state = try wantedState(of: name)
        if state.definition.isInternal {
            throw BrokerError(
                .accessRefused, "cannot publish to internal exchange '\(name)' in vhost '\(vhost)'")
        }
        lastState = state
        return state
    }

    private func wantedState(of name: ExchangeName) throws(BrokerError) -> ExchangeState {
        guard let state = state(of: name) else {
            throw .noExchange(name, in: vhost)
        }
        return state
    }

    private mutating func find(_ message: Message, from state: ExchangeState) throws(BrokerError) -> Route {
        let extraKeys = try message.shared.map(Self.extraKeys) ?? []
        if extraKeys.isEmpty {
            if state.isDefault {
                if message.routingKey.hasSameBytes(as: lastKey), generation == lastGeneration {
                    return lastRoute
                }
                let route = queues[QueueName(message.routingKey)]?.route ?? nowhere
                (lastKey, lastGeneration, lastRoute) = (message.routingKey, generation, route)
                return route
            }
            if let route = remembered(message.routingKey, at: state) { return route }
        }
        var walk = Walk(
            from: try index(of: state.definition.name), message: message, extraKeys: extraKeys)
        perform(&walk)
        let route = walk.queues.isEmpty ? nowhere : Route(walk.queues)
        if extraKeys.isEmpty { Self.remember(route, walk.dependence, message.routingKey, at: state) }
        return route
    }

    private func remembered(_ key: String, at state: ExchangeState) -> Route? {
        if state.isLinked, state.routesGeneration != linkedGeneration {
            state.forgetRoutes()
            state.routesGeneration = linkedGeneration
        }
        return state.routeForAll ?? state.routesByKey[ByteKey(key)]
    }

    private static func remember(
        _ route: Route, _ dependence: Walk.Dependence, _ key: String, at state: ExchangeState
    ) {
        switch dependence {
        case .nothing: state.routeForAll = route
        case .headers: return
        case .key:
            if state.routesByKey.count >= ExchangeState.routesMax { state.forgetRoutes() }
            state.routesByKey[ByteKey(key)] = route
        }
    }

    private mutating func perform(_ walk: inout Walk) {
        while let index = walk.nextExchange() {
            let matched = index == Self.defaultIndex ? matchName(&walk) : matchBindings(of: index, &walk)
            guard !matched, let state = states[index], let name = state.alternate else { continue }
            guard let alternate = indexes[name] else { continue }
            walk.steps?.append(
                RouteStep(source: state.definition.name, target: .exchange(name), reason: .alternate))
            walk.reach(Destination(exchange: alternate))
        }
    }

    private func matchName(_ walk: inout Walk) -> Bool {
        var matched = false
        for key in walk.keys {
            guard let slot = queues[QueueName(key)]?.slot else { continue }
            matched = true
            walk.steps?.append(
                RouteStep(
                    source: .default, target: .queue(QueueName(key)), reason: .name, pattern: key))
            walk.reach(Destination(slot))
        }
        walk.dependence = max(walk.dependence, .key)
        return matched
    }

    private mutating func matchBindings(of index: Int, _ walk: inout Walk) -> Bool {
        guard let type = states[index]?.definition.routingType else { return false }
        walk.dependence = max(walk.dependence, Walk.dependence(of: type))
        var matched = false
        var seen: Set<Int> = []
        let byKeys = type == .direct || type == .topic
        for key in byKeys ? walk.keys : [""] {
            for entry in states[index]?.table.matches(key: key, headers: &walk.headers) ?? [] {
                guard walk.keys.count == 1 || seen.insert(entry.id).inserted else { continue }
                matched = true
                if walk.steps != nil, let binding = records[entry.id]?.binding {
                    walk.steps?.append(
                        RouteStep(
                            source: binding.source, target: binding.target, reason: .binding,
                            pattern: binding.routingKey, arguments: binding.arguments))
                }
                walk.reach(entry.destination)
            }
        }
        return matched
    }

    /// The strings of `CC` and `BCC`, each key once.
    static func extraKeys(_ shared: SharedProperties) throws(BrokerError) -> [String] {
        let headers = shared.properties.headers
        guard !headers.isEmpty else { return [] }
        var keys: [String] = []
        for name in [HeaderName.cc, HeaderName.bcc] {
            guard let value = headers[name] else { continue }
            guard case .array(let values) = value else { throw unacceptable(value, in: name) }
            for value in values {
                guard case .string(let key) = value else { throw unacceptable(value, in: name) }
                keys.append(key)
            }
        }
        return keys
    }

    private static func unacceptable(_ value: FieldValue, in name: String) -> BrokerError {
        BrokerError(
            .preconditionFailed,
            "invalid message: unacceptable type '\(value.typeName)' in header '\(name)'; "
                + "expected an array of strings")
    }
}

/// One message on its way through the exchanges, each of which it visits at most once.
private struct Walk {
    /// What a way depends on, beside the bindings.
    enum Dependence: Int, Comparable {
        case nothing
        case key
        case headers

        static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
    }

    /// The routing key and those of `CC` and `BCC`, each once.
    let keys: [String]
    var headers: HeaderLookup
    /// What was found, in the order in which it was reached.
    var queues: [QueueSlot] = []
    var dependence = Dependence.nothing
    /// Filled in if it isn't `nil`.
    var steps: [RouteStep]?
    private var seen: Set<Destination>
    private var exchanges: [Int]
    private var visited = 0

    init(from index: Int, message: Message, extraKeys: [String]) {
        var keys = [message.routingKey]
        var known: Set<ByteKey> = [ByteKey(message.routingKey)]
        for key in extraKeys where known.insert(ByteKey(key)).inserted { keys.append(key) }
        self.keys = keys
        headers = HeaderLookup(message.properties?.headers ?? FieldTable())
        seen = [Destination(exchange: index)]
        exchanges = [index]
    }

    mutating func nextExchange() -> Int? {
        guard visited < exchanges.count else { return nil }
        visited += 1
        return exchanges[visited - 1]
    }

    mutating func reach(_ destination: Destination) {
        guard seen.insert(destination).inserted else { return }
        if let slot = destination.queue { queues.append(slot) }
        if let exchange = destination.exchange { exchanges.append(exchange) }
    }

    static func dependence(of type: ExchangeType) -> Dependence {
        switch type {
        case .fanout: .nothing
        case .direct, .topic, .delayed: .key
        case .headers: .headers
        }
    }
}
