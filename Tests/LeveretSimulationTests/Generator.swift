// Thinks up the next operation of a run: mostly sensible, now and then wrong, always from the seed.

import LeveretTestSupport

/// The source of a run's operations.
struct Generator {
    private var random: SplitMix64
    /// For what was added later: the rest of a seed stays as it was.
    private var extra: SplitMix64
    /// For what was added still later.
    private var latest: SplitMix64
    /// For virtual hosts.
    private var last: SplitMix64
    private let style: Style
    private let kinds: [(kind: Style.Kind, weight: Int)]
    private let weightSum: Int

    init(style: Style, random: SplitMix64) {
        self.style = style
        self.random = random
        extra = SplitMix64(seed: random.peek ^ 1)
        latest = SplitMix64(seed: random.peek ^ 2)
        last = SplitMix64(seed: random.peek ^ 3)
        kinds = Style.Kind.allCases.map { ($0, style.weights[$0.rawValue] ?? 0) }
        weightSum = kinds.reduce(0) { $0 + $1.weight }
    }

    private mutating func below(_ bound: Int) -> Int { Int(random.next() % UInt64(max(1, bound))) }
    private mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
    private mutating func pick<T>(_ values: [T]) -> T { values[below(values.count)] }

    private mutating func draw<T>(_ values: [T]) -> T { values[Int(extra.next() % UInt64(values.count))] }
    private mutating func choose<T>(_ values: [T]) -> T { values[Int(latest.next() % UInt64(values.count))] }

    private mutating func newest<T>(_ values: [T]) -> T { values[Int(last.next() % UInt64(values.count))] }

    private mutating func queue() -> String {
        chance(2) ? (chance(50) ? "nowhere" : "leveret.parked") : "q\(below(style.queueCount))"
    }

    private mutating func ownQueue() -> String { "q\(below(style.queueCount))" }

    private mutating func exchange() -> String {
        chance(20) ? pick(["amq.direct", "amq.topic", "amq.fanout", "amq.headers"]) : ownExchange()
    }

    private mutating func ownExchange() -> String { "x\(below(style.exchangeCount))" }
    private mutating func key() -> String { pick(["a", "b", "a.b", "a.c.b", "b.a", ""]) }
    private mutating func pattern() -> String {
        pick(["a", "b", "a.b", "a.*", "#", "*.b", "a.#", "#.b", ""])
    }

    /// The next operation.
    mutating func next(_ simulator: Simulator) -> Operation {
        var place = below(weightSum)
        var kind = Style.Kind.publish
        for (candidate, weight) in kinds {
            if place < weight {
                kind = candidate
                break
            }
            place -= weight
        }
        let session = below(style.sessionCount)
        switch kind {
        case .open: return .open(session: session)
        case .close: return .close(session: session)
        case .disconnect: return .disconnect(connection: below(style.connectionCount))
        case .drain: return .drain(session: session)
        case .advance:
            return chance(30) ? .wake : .advance(milliseconds: Int64(pick([0, 1, 5, 20, 100, 1000])))
        case .work: return chance(50) ? .wake : .work
        case .commit: return storeStep(simulator)
        case .load:
            let isRead = chance(50)
            let index = below(8)
            if style.hasConditions, choose([true, false]) { return isRead ? .search(index) : .found(index) }
            return isRead ? .read(index) : .answer(index)
        case .alarm: return .setAlarm(chance(30))
        case .settleAll: return .settleAll
        case .crash: return chance(20) ? .crash(commits: chance(50)) : .settleAll
        case .restart: return chance(10) ? .restart : .settleAll
        default:
            guard simulator.isOpen(session) else { return .open(session: session) }
            return .call(session: session, call(kind, session, simulator))
        }
    }

    private mutating func storeStep(_ simulator: Simulator) -> Operation {
        guard simulator.inFlight != nil else { return .take }
        return chance(style.failPercent) ? .fail : .commit
    }

    private mutating func call(_ kind: Style.Kind, _ session: Int, _ simulator: Simulator) -> Call {
        switch kind {
        case .publish: return .publish(publication())
        case .transaction:
            var parts: [TransactionPart] = []
            for _ in 0..<below(4) {
                parts.append(chance(60) ? .publish(publication()) : .settle(settling(session, simulator)))
            }
            return .transaction(distinct(parts))
        case .settle:
            let settling = settling(session, simulator)
            guard style.hasClaims else { return .settle(settling) }
            return newest([.settle(settling), .settle(settling), .settleAtCommit(settling), .rollBack])
        case .get:
            return .get(queue: queue(), autoAck: chance(30), wait: chance(30) ? Int64(pick([10, 500])) : 0)
        case .consume:
            return .consume(
                queue: queue(), tag: "c\(below(4))", prefetch: pick([0, 1, 2, 5]), autoAck: chance(25),
                exclusive: chance(5),
                priority: style.hasConsumerPriorities && chance(50) ? Int32(pick([-1, 1, 7])) : 0,
                timeout: style.hasLeases && chance(30) ? Int64(pick([1, 20, 500])) : nil,
                countsFirst: style.hasCountFirst && choose([true, false]))
        case .touch:
            let held = simulator.modelSession(session)?.held ?? []
            let tag = held.isEmpty || chance(5) ? UInt64(below(5)) : held[below(held.count)].tag
            return .touch(tag: tag, milliseconds: chance(50) ? Int64(pick([1, 30, 1000])) : nil)
        case .cancel: return .cancel(tag: "c\(below(4))", requeue: chance(50))
        case .prefetch: return .prefetch(pick([0, 1, 2, 4, 10]))
        case .recover: return .recover
        case .purge: return .purge(queue: queue())
        case .policy: return policy()
        case .pause: return .pause(queue: queue(), isPaused: chance(40))
        case .peek:
            let isUnacked = chance(30)
            let name = queue()
            if style.hasDelays, draw([true, false]) { return .peek(queue: name, state: "delayed") }
            return .peek(queue: name, state: isUnacked ? "unacked" : "ready")
        case .single: return single(session, simulator)
        case .virtualHost: return virtualHost()
        case .move:
            let most = chance(50) ? below(5) : nil
            let isSearch = style.hasConditions && choose([true, true, false])
            let condition = isSearch ? choose(Condition.allCases) : nil
            return chance(60)
                ? .move(
                    source: queue(), toQueue: queue(), toExchange: nil, key: nil, countMax: most,
                    condition: condition)
                : .move(
                    source: queue(), toQueue: nil, toExchange: exchange(), key: chance(50) ? key() : nil,
                    countMax: most, condition: condition)
        default: return topologyCall(kind)
        }
    }

    private mutating func topologyCall(_ kind: Style.Kind) -> Call {
        switch kind {
        case .declareExchange:
            return .declareExchange(
                name: ownExchange(), type: pick(["direct", "fanout", "topic", "headers"]),
                durable: chance(70),
                autoDelete: chance(15), isInternal: chance(5), alternate: chance(20) ? exchange() : nil,
                deduplicate: style.hasDeduplication && chance(40) ? Int64(pick([21, 500, 50_000])) : nil)
        case .deleteExchange: return .deleteExchange(name: ownExchange(), ifUnused: chance(50))
        case .deleteQueue:
            return .deleteQueue(name: queue(), ifUnused: chance(30), ifEmpty: style.isExact && chance(30))
        case .bind, .unbind:
            let toExchange = chance(20)
            let arguments: [String: ArgumentValue] =
                chance(60)
                ? [:] : ["x-match": .text(pick(["any", "all", "none"])), "h": .number(Int64(below(2)))]
            let source = exchange()
            let target = toExchange ? exchange() : queue()
            let key = pattern()
            return kind == .bind
                ? .bind(
                    source: source, target: target, toExchange: toExchange, key: key, arguments: arguments)
                : .unbind(
                    source: source, target: target, toExchange: toExchange, key: key, arguments: arguments)
        default:
            return .declareQueue(
                name: ownQueue(), durable: chance(75), exclusive: chance(8), autoDelete: chance(8),
                arguments: queueArguments())
        }
    }

    private mutating func policy() -> Call {
        let (name, isOperator) = (pick(["p", "r", "s"]), chance(30))
        if style.hasExchangePolicies, choose([true, false]) { return exchangePolicy(name, isOperator) }
        // Without exactness, what a queue dies of depends on when its dead are found.
        if chance(25) || !style.isExact { return .deletePolicy(name: name, isOperator: isOperator) }
        var arguments = queueArguments()
        for name in ["x-single-active-consumer", "x-delivery-limit", "x-max-priority"] {
            arguments[name] = nil
        }
        if arguments.isEmpty { arguments["x-dead-letter-exchange"] = .text("") }
        return .setPolicy(
            name: name, pattern: pick(["q", "^q[01]$", "1|2", "no", ""]), appliesTo: "queues",
            priority: Int32(below(3)), isOperator: isOperator, arguments: arguments)
    }

    /// A policy that is for exchanges, and perhaps for queues as well.
    private mutating func exchangePolicy(_ name: String, _ isOperator: Bool) -> Call {
        if choose([true, false, false]) { return .deletePolicy(name: name, isOperator: isOperator) }
        var target = choose(["exchanges", "exchanges", "all", "classic_queues", "quorum_queues"])
        if !style.isExact { target = "exchanges" }
        var arguments = target == "exchanges" ? [:] : queueArguments()
        for name in ["x-single-active-consumer", "x-delivery-limit", "x-max-priority"] {
            arguments[name] = nil
        }
        if target == "exchanges" || target == "all" {
            if target == "exchanges" || choose([true, false]) {
                arguments["alternate-exchange"] = .text(exchange())
            }
            if style.hasDeduplication, choose([true, false]) {
                arguments["x-deduplicate"] = .number(choose([21, 500, 50_000]))
            }
        }
        if arguments.isEmpty { arguments["x-dead-letter-exchange"] = .text("") }
        return .setPolicy(
            name: name, pattern: choose(["x", "x0", "^x[01]$", "1|2", "amq", ""]), appliesTo: target,
            priority: choose([0, 1, 2]), isOperator: isOperator, arguments: arguments)
    }

    private mutating func queueArguments() -> [String: ArgumentValue] {
        var arguments: [String: ArgumentValue] = [:]
        if style.hasTTL, chance(30) { arguments["x-message-ttl"] = .number(Int64(pick([0, 5, 50, 1000]))) }
        if style.hasLeases, chance(30) {
            arguments["x-consumer-timeout"] = .number(Int64(pick([1, 50, 800])))
        }
        if style.isExact, chance(8) {
            arguments["x-expires-if-empty"] = .number(Int64(pick([20, 500])))
        } else if chance(8) {
            arguments["x-expires"] = .number(Int64(pick([20, 2000])))
        }
        if style.hasLengths {
            if chance(40) { arguments["x-max-length"] = .number(Int64(pick([0, 1, 3, 10]))) }
            if chance(15) { arguments["x-max-length-bytes"] = .number(Int64(pick([10, 100, 500]))) }
            if chance(40) {
                arguments["x-overflow"] = .text(pick(["drop-head", "reject-publish", "reject-publish-dlx"]))
            }
        }
        if style.hasFullQueues, newest([true, false, false]) {
            arguments["x-max-length"] = .number(0)
            arguments["x-overflow"] = .text("reject-publish-dlx")
        }
        if style.hasDeduplication, chance(60) {
            arguments["x-deduplicate"] =
                chance(50) ? .text("while-queued") : .number(Int64(pick([20, 500, 50_000])))
        }
        if style.hasSingleActive, chance(40) { arguments["x-single-active-consumer"] = .flag(chance(90)) }
        if chance(25) { arguments["x-delivery-limit"] = .number(Int64(below(3))) }
        if style.hasDelays, draw([true, false]) {
            arguments["x-delayed-retry-type"] = .text(draw(["disabled", "all", "failed", "returned"]))
            arguments["x-delayed-retry-min"] = .number(draw([1, 5, 200]))
            if draw([true, false]) { arguments["x-delayed-retry-max"] = .number(draw([200, 900])) }
            if draw([true, false]) {
                arguments["x-delayed-retry-backoff"] = .text(draw(["linear", "exponential"]))
            }
            if draw([true, false]) { arguments["x-delayed-retry-jitter"] = .number(draw([0, 10, 100])) }
        }
        if style.hasPriorities, draw([true, false]) {
            arguments["x-max-priority"] = .number(draw([1, 3, 10, 255]))
        }
        if style.hasDeadLetters, chance(70) {
            arguments["x-dead-letter-exchange"] = .text(chance(50) ? "" : exchange())
            if chance(70) {
                arguments["x-dead-letter-routing-key"] = .text(chance(70) ? ownQueue() : key())
            }
        }
        return arguments
    }

    private mutating func publication() -> Publication {
        let isDirect = chance(60)
        return Publication(
            exchange: isDirect ? "" : chance(95) ? exchange() : "nowhere", key: isDirect ? queue() : key(),
            persistent: chance(style.persistentPercent), mandatory: chance(10),
            expiration: style.hasTTL && chance(20) ? pick(["0", "3", "30", "700"]) : nil,
            cc: chance(10) ? [isDirect ? ownQueue() : key()] : [],
            headers: chance(15) ? ["h": Int64(below(2))] : [:],
            dedupID: style.hasDeduplication && chance(70) ? "i\(below(8))" : nil,
            size: 4 + below(style.bodyBytesMax),
            priority: style.hasPriorities ? draw([nil, 0, 1, 2, 3, 100, 255]) : nil,
            delay: style.hasDelays ? draw([nil, nil, 0, -1, 1, 7, 30, 800, 1500, 5000]) : nil)
    }

    private mutating func settling(_ session: Int, _ simulator: Simulator) -> Settling {
        let held = simulator.modelSession(session)?.held ?? []
        let tag = held.isEmpty || chance(2) ? UInt64(below(5)) : held[below(held.count)].tag
        let multiple = chance(20)
        let outcome: Outcome = chance(60) ? .ack : pick(Outcome.allCases)
        let delay: Int64? = style.hasDelays ? draw([nil, nil, nil, 0, 5, 300]) : nil
        return Settling(tag: tag, outcome: outcome, multiple: multiple, delay: delay)
    }

    /// A message of a queue, wherever it is; now and then one that is nowhere.
    private mutating func single(_ session: Int, _ simulator: Simulator) -> Call {
        let plain = draw((0..<style.queueCount).map { "q\($0)" })
        let name = plain.placed(in: simulator.modelSession(session)?.vhost ?? "/")
        let waiting = simulator.model.queue(name).map { $0.delayed + $0.ready } ?? []
        let held = simulator.model.sessions.flatMap(\.held).map(\.copy)
        let all = waiting + held.filter { $0.queue.name == name }
        let position = all.isEmpty || draw([true, false, false, false, false]) ? 3 : draw(all).number
        if draw([true, false]) { return .cancelMessage(queue: plain, position: position) }
        let isOfContent = !style.hasDelays || draw([true, false])
        return .edit(
            queue: plain, position: position, version: draw([nil, nil, 1, 2]),
            delay: style.hasDelays ? draw(isOfContent ? [nil, nil, 0, 50] : [0, 1, 50, 3000]) : nil,
            content: isOfContent ? content() : nil)
    }

    private mutating func virtualHost() -> Call {
        let name = newest(["/", "v", "v", "w"])
        switch newest(Array(0..<20)) {
        case 0: return .deleteVirtualHost(name: name)
        case 1: return .limitVirtualHost(name: name, queuesMax: newest([nil, 0, 1, 3]))
        case 2..<7: return .createVirtualHost(name: name)
        default: return .enter(vhost: name)
        }
    }

    private mutating func content() -> Content {
        Content(
            key: draw([nil, nil, "a", "b.a", "q0"]), ttl: style.hasTTL ? draw([nil, nil, 0, 5, 500]) : nil,
            headers: draw([[:], [:], ["h": 0], ["h": 1]]),
            size: draw([nil, 4 + Int(extra.next() % UInt64(style.bodyBytesMax))]))
    }

    /// A transaction settles each delivery once: what two settlements of one should mean is nobody's concern.
    private func distinct(_ parts: [TransactionPart]) -> [TransactionPart] {
        var hasSettled = false
        return parts.filter { part in
            guard case .settle = part else { return true }
            defer { hasSettled = true }
            return !hasSettled
        }
    }
}
