// WHY where nothing stops dispatch: what comes in against what goes out, what expires before its turn, and publishes
// that pass the queue by.

extension BrokerCore {
    /// Whether messages expire before they are taken, as they did or as the pace will have it.
    func expiring(in queue: MessageQueue, now: Instant) -> [QueueReason] {
        let expired = queue.deaths[.expired] ?? 0
        let pace = queue.deliverRate.rate(now: now)
        var facts: FieldTable = ["expired": .int(Int64(expired)), "out_rate": .double(pace)]
        var life = ""
        if let ttl = queue.settings.messageTTLMilliseconds {
            facts["ttl"] = .int(ttl)
            let origin = origin(of: QueueArgument.messageTTL, in: queue)
            facts["ttl_origin"] = .string(origin)
            life = ", living for \(seconds(ttl)) (\(origin))"
            let needed = pace > 0 ? Double(queue.readyCount) / pace : 0
            if needed * 1000 > Double(ttl), needed < 1e12 {
                facts["wait"] = .int(Int64(needed * 1000))
                let text =
                    "messages live for \(seconds(ttl)) (\(origin)) and at \(perSecond(pace)) a second the last of "
                    + "\(Amount.count(queue.readyCount)) ready waits for \(seconds(Int64(needed * 1000))): "
                    + "they expire before that"
                return [QueueReason(.expiring, text, facts)]
            }
        }
        guard expired > 0 else { return [] }
        let place = place(of: "what expired", from: queue, &facts)
        let text =
            "messages expired before they were taken\(life): \(Amount.count(expired)) since the start; \(place)"
        return [QueueReason(.expiring, text, facts)]
    }

    /// Where a setting of a queue comes from: `argument`, `policy 'short'`.
    private func origin(of argument: String, in queue: MessageQueue) -> String {
        var info = QueueInfo(queue.definition)
        info.explain(queue.policy, queue.operatorPolicy)
        guard case .string(let origin)? = info.origins[argument] else { return "argument" }
        return origin
    }

    /// Whether messages left because the queue was full.
    func dropping(from queue: MessageQueue) -> [QueueReason] {
        let dropped = queue.deaths[.maxlen] ?? 0
        guard dropped > 0 else { return [] }
        var facts: FieldTable = ["maxlen": .int(Int64(dropped))]
        let place = place(of: "what left", from: queue, &facts)
        let text = "\(counted(dropped)) left it since the start because it was full; \(place)"
        return [QueueReason(.dropping, text, facts)]
    }

    /// Where messages are that died in a queue, `what` being what they are called.
    private func place(of what: String, from queue: MessageQueue, _ facts: inout FieldTable) -> String {
        guard let exchange = queue.settings.deadLetterExchange else {
            return "\(what) is gone, for the queue has no dead-letter exchange"
        }
        facts["exchange"] = .string(exchange.rawValue)
        let key = queue.settings.deadLetterRoutingKey
        if let key { facts["key"] = .string(key) }
        if queue.host.topology.state(of: exchange) == nil {
            return
                "exchange '\(exchange)', where dead letters go, isn't there, so they stand in '\(QueueName.parked)'"
        }
        let by = key.map { "the key '\($0)'" } ?? "its own key"
        return "\(what) went to exchange '\(exchange)' with \(by), and 'leveret dead list' has the reasons"
    }

    /// Whether most of what is handed out comes back to be handed out again.
    func returning(to queue: MessageQueue, now: Instant) -> [QueueReason] {
        let (goes, back) = (queue.deliverRate.rate(now: now), queue.returnRate.rate(now: now))
        guard back >= 1, back * 2 >= goes else { return [] }
        var most = queue.first
        forEachHeld(of: queue) { _, held in
            if held.entry.acquired > most?.acquired ?? 0 { most = held.entry }
        }
        // A consumer that went and gave back what it had is no trend.
        guard let most, most.acquired >= 10 else { return [] }
        let position = most.number.rawValue
        return [
            QueueReason(
                .returning,
                "of \(perSecond(goes)) deliveries a second \(perSecond(back)) come back: message \(position) was "
                    + "handed out \(most.acquired) times; a delayed retry makes such messages wait, a delivery limit "
                    + "ends them",
                [
                    "out_rate": .double(goes), "return_rate": .double(back), "position": .int(position),
                    "deliveries": .int(Int64(most.acquired)), "failed": .int(Int64(most.failed)),
                ])
        ]
    }

    /// Whether messages failed for good, and where they are now.
    func failing(in queue: MessageQueue) -> [QueueReason] {
        let (rejected, limited) = (queue.deaths[.rejected] ?? 0, queue.deaths[.deliveryLimit] ?? 0)
        guard rejected + limited > 0, let last = queue.lastFailure?.iso8601 else { return [] }
        var facts: FieldTable = [
            "rejected": .int(Int64(rejected)), "delivery_limit": .int(Int64(limited)), "last": .string(last),
        ]
        let refused = rejected == 0 ? nil : "\(counted(rejected)) \(rejected == 1 ? "was" : "were") rejected"
        let tooOften =
            limited == 0 ? nil : "\(counted(limited)) failed more often than the delivery limit allows"
        let what = [refused, tooOften].compactMap(\.self).joined(separator: " and ")
        let place = place(of: "what failed", from: queue, &facts)
        return [QueueReason(.failing, "\(what) since the start, the last at \(last); \(place)", facts)]
    }

    /// What a queue says from which messages go out.
    func flow(of queue: MessageQueue, now: Instant) -> [QueueReason] {
        let (comes, goes) = (queue.publishRate.rate(now: now), queue.deliverRate.rate(now: now))
        let facts: FieldTable = [
            "ready": .int(Int64(queue.readyCount)), "in_rate": .double(comes), "out_rate": .double(goes),
        ]
        let rates = "\(perSecond(comes)) a second come in and \(perSecond(goes)) go out"
        let goesOn = QueueReason(
            .goesOn, "dispatch goes on: \(counted(queue.readyCount)) ready, \(rates)", facts)
        // A few messages in the last seconds are no trend.
        guard queue.readyCount > 0, comes >= 1, comes > goes * 1.1 else { return [goesOn] }
        return [goesOn, QueueReason(.behind, "its consumers do not keep up: \(rates)", facts)]
    }

    /// Why nothing has come in since the start, where nothing has.
    func publishesThatPassBy(_ queue: MessageQueue) -> [QueueReason] {
        guard queue.published == 0, queue.readyCount + queue.unackedCount + queue.delayed.count == 0 else {
            return []
        }
        let topology = queue.host.topology
        let ids = topology.idsByTarget[.queue(queue.name)]?.sorted() ?? []
        if ids.isEmpty {
            let text =
                "no exchange is bound to queue '\(queue.name)': only publishes to the default exchange with its name "
                + "as the key reach it, and none did since the start"
            return [QueueReason(.unbound, text)]
        }
        return ids.compactMap { topology.records[$0] }.prefix(limits.reasonsMax).compactMap { record in
            guard let exchange = topology.states[record.source], exchange.published > 0 else { return nil }
            let binding = record.binding
            let by = binding.arguments.isEmpty ? "'\(binding.routingKey)'" : "the headers"
            return QueueReason(
                .elsewhere,
                "\(counted(exchange.published)) came to exchange '\(binding.source)' since the start and none matched "
                    + "\(by), by which queue '\(queue.name)' is bound; 'leveret route \(binding.source) "
                    + "KEY' shows the way of a message",
                [
                    "exchange": .string(binding.source.rawValue), "pattern": .string(binding.routingKey),
                    "published": .int(Int64(exchange.published)),
                    "unroutable": .int(Int64(exchange.unroutable)),
                ])
        }
    }
}

/// `0.4`, `120`.
private func perSecond(_ rate: Double) -> String {
    rate < 10 ? "\((rate * 10).rounded() / 10)" : "\(Int(rate.rounded()))"
}

/// `60 s`, `1.5 s`.
private func seconds(_ milliseconds: Int64) -> String {
    let tenths = milliseconds / 100
    return tenths % 10 == 0 ? "\(tenths / 10) s" : "\(tenths / 10).\(tenths % 10) s"
}
