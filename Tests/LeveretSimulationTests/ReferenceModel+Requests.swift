// What a session asks, and what the answer has to be.

import LeveretCore

extension ReferenceModel {
    /// Carries out one call. `message` is what a publish turned into.
    func perform(_ call: Call, _ session: ModelSession, _ ticket: Ticket, ids: [Int]) throws {
        askers[ticket] = session.id
        guard admits(call, session, ticket) else { return }
        if isWaiting(ticket) {
            return waitingPublishes.append((call, session, session.vhost, ticket, ids))
        }
        switch call {
        case .enter, .createVirtualHost, .deleteVirtualHost, .limitVirtualHost:
            changeVirtualHost(call, session, ticket)
        case .publish(let publication): try publish(publication, ids[0], ticket)
        case .transaction(let parts): try transaction(parts, session, ticket, ids)
        case .settle(let settling): try settle(settling, session, ticket)
        case .settleAtCommit(let settling):
            guard isKnown(settling, session) else { return refuse(ticket, .preconditionFailed) }
            session.claims.append(ModelClaim(settling: settling, tags: tags(of: settling, session)))
            expect(ticket, "done")
        case .rollBack:
            session.claims = []
            expect(ticket, "done")
        case .touch(let tag, let milliseconds):
            guard session.free.contains(where: { $0.tag == tag }),
                let place = session.held.firstIndex(where: { $0.tag == tag })
            else { return refuse(ticket, .preconditionFailed) }
            if let lease = session.held[place].lease {
                session.held[place].touchedEnd = now + (milliseconds ?? lease)
            }
            expect(ticket, "done")
        case .get(let name, let autoAck, let wait):
            guard let queue = usable(name, session, ticket) else { return }
            guard session.held.count < limits.unackedCountMax else { return refuse(ticket, .resourceError) }
            queue.lastUsed = now
            let deadline = wait > 0 ? now + wait : nil
            queue.gets.append(
                ModelGet(ticket: ticket, session: session, autoAck: autoAck, deadline: deadline))
            expected[ticket] = Expectation(kind: .get)
            try dispatch(queue)
        case .consume: try consume(call, session, ticket)
        case .cancel(let tag, let requeue): try cancel(tag, requeue, session, ticket)
        case .prefetch(let count):
            session.prefetch = max(0, count)
            expect(ticket, "done")
            try dispatchAll()
        case .recover: try settle(Settling(tag: 0, outcome: .requeue, multiple: true), session, ticket)
        case .move: move(call, session, ticket)
        case .peek(let name, let state):
            guard usable(name, session, ticket) != nil else { return }
            expected[ticket] = Expectation(kind: .peek(name, state: state))
        case .cancelMessage(let name, let position):
            try change(position, of: name, nil, session, ticket)
        case .edit(let name, let position, let version, let delay, let content):
            let edit = Edit(version: version, delay: delay, content: content)
            try change(position, of: name, edit, session, ticket)
        case .setPolicy, .deletePolicy: setPolicy(call, ticket)
        case .declareExchange, .deleteExchange, .declareQueue, .deleteQueue, .bind, .unbind, .purge, .pause:
            try change(call, session, ticket)
        }
    }

    func refuse(_ ticket: Ticket, _ code: ReplyCode) { expect(ticket, "refused \(code.rawValue)") }

    func expect(_ ticket: Ticket, _ answer: String, gone: [Copy] = [], since before: Int? = nil) {
        var expectation = Expectation(kind: .exactly(answer), gone: gone)
        if let before, before != durableChanges { expectation.durableSince = durableChanges }
        expected[ticket] = expectation
    }

    /// The queue of this name if the session may use it; else the refusal is expected.
    func usable(_ name: String, _ session: ModelSession, _ ticket: Ticket) -> ModelQueue? {
        guard let queue = queue(name) else {
            refuse(ticket, .notFound)
            return nil
        }
        guard queue.owner == nil || queue.owner == session.connection else {
            refuse(ticket, .resourceLocked)
            return nil
        }
        return queue
    }

    // MARK: - Publishing

    func modelMessage(_ publication: Publication, _ id: Int) -> ModelMessage {
        let message = ModelMessage(
            id: id, exchange: publication.exchange, key: publication.key,
            isPersistent: publication.persistent,
            expiration: publication.expiration, cc: publication.cc, headers: publication.headers,
            size: publication.size, priority: Int(publication.priority ?? 0))
        message.dedupID = publication.dedupID
        message.delay = max(0, publication.delay ?? 0)
        return message
    }

    /// Why a publish is refused as a whole.
    private func refusal(of publication: Publication) -> ReplyCode? {
        if isAlarmed { return .resourceError }
        guard let exchange = exchange(publication.exchange) else { return .notFound }
        return exchange.isInternal ? .accessRefused : nil
    }

    private func publish(_ publication: Publication, _ id: Int, _ ticket: Ticket) throws {
        if let code = refusal(of: publication) { return refuse(ticket, code) }
        let message = modelMessage(publication, id)
        let reached = route(message)
        guard !reached.isEmpty else {
            return expect(ticket, publication.mandatory ? "unroutable" : "routed 0")
        }
        let taking = isDouble(message) ? [] : reached.filter { !isDouble(message, in: $0) }
        let isRefused = message.delay == 0 && taking.contains { isFull($0, for: message) }
        let copies = try spread(message, over: taking)
        if isRefused {
            refuse(ticket, .resourceError)
        } else {
            if !taking.isEmpty { noteHandedOn(message) }
            expected[ticket] = Expectation(kind: .exactly("routed \(taking.count)"), safe: copies)
        }
    }

    private func route(_ message: ModelMessage) -> [ModelQueue] {
        route(exchange: message.exchange, keys: [message.key] + message.cc, headers: message.headers) ?? []
    }

    private func spread(_ message: ModelMessage, over reached: [ModelQueue]) throws -> [Copy] {
        var copies: [Copy] = []
        let full = message.delay > 0 ? [] : reached.filter { isFull($0, for: message) }
        for queue in inOrderSeen(reached, message) {
            guard full.contains(where: { $0 === queue }) else {
                copies.append(
                    message.delay > 0
                        ? try delay(message, in: queue) : try append(message, to: queue, deaths: []))
                noteTaken(copies[copies.count - 1])
                continue
            }
            guard queue.overflow == .rejectPublishDLX else { continue }
            let refused = Copy(message, queue: queue, number: 0, entered: now, expires: .max, deaths: [])
            refused.state = .condemned(.maxlen)
            if queue.deadLetterExchange != nil { strays.append(refused) }
        }
        return copies
    }

    private func transaction(
        _ parts: [TransactionPart], _ session: ModelSession, _ ticket: Ticket, _ ids: [Int]
    ) throws {
        let claims = session.claims
        session.claims = []
        guard claims.flatMap(\.tags).allSatisfy({ tag in session.held.contains { $0.tag == tag } }) else {
            return refuse(ticket, .preconditionFailed)
        }
        if let code = refusal(of: parts, claims, session, ids) { return refuse(ticket, code) }
        var ids = ids[...]
        var routed: [Int] = []
        var safe: [Copy] = []
        var gone: [Copy] = []
        let settlements = parts.compactMap { part in
            if case .settle(let settling) = part {
                ModelClaim(settling: settling, tags: tags(of: settling, session))
            } else {
                nil
            }
        }
        for case .publish(let publication) in parts {
            let message = modelMessage(publication, ids.removeFirst())
            let reached = route(message)
            let taking = isDouble(message) ? [] : reached.filter { !isDouble(message, in: $0) }
            try require(
                message.delay > 0 || !taking.contains { isFull($0, for: message) },
                "a transaction loses message \(message.id)")
            routed.append(taking.count)
            safe += try spread(message, over: taking)
            if !taking.isEmpty { noteHandedOn(message) }
        }
        for claim in claims + settlements { gone += try perform(claim.settling, claim.tags, session) }
        expected[ticket] = Expectation(kind: .exactly("committed \(routed)"), safe: safe, gone: gone)
    }

    private func refusal(
        of parts: [TransactionPart], _ claims: [ModelClaim], _ session: ModelSession, _ ids: [Int]
    ) -> ReplyCode? {
        var ids = ids[...]
        var arriving: [String: (count: Int, bytes: Int)] = [:]
        for part in parts {
            switch part {
            case .settle(let settling):
                let isClaimed = claims.contains { $0.tags.contains(settling.tag) }
                if isClaimed || !isKnown(settling, session) { return .preconditionFailed }
            case .publish(let publication):
                if let code = refusal(of: publication) { return code }
                let message = modelMessage(publication, ids.removeFirst())
                let reached = route(message)
                if reached.isEmpty, publication.mandatory { return .noRoute }
                if isDouble(message) { continue }
                for queue in reached
                where message.delay == 0 && !isDouble(message, in: queue) && queue.overflow != .dropHead {
                    let (count, bytes) = arriving[queue.name, default: (0, 0)]
                    if let most = queue.lengthMax, queue.ready.count + count >= most { return .resourceError }
                    if let most = queue.bytesMax, queue.readyBytes + bytes + message.size > most {
                        return .resourceError
                    }
                    arriving[queue.name] = (count + 1, bytes + message.size)
                }
            }
        }
        return nil
    }

    // MARK: - Settling

    private func isKnown(_ settling: Settling, _ session: ModelSession) -> Bool {
        (settling.multiple && settling.tag == 0) || session.free.contains { $0.tag == settling.tag }
    }

    private func tags(of settling: Settling, _ session: ModelSession) -> [UInt64] {
        session.free.map(\.tag).filter {
            settling.multiple ? settling.tag == 0 || $0 <= settling.tag : $0 == settling.tag
        }
    }

    private func settle(_ settling: Settling, _ session: ModelSession, _ ticket: Ticket) throws {
        guard isKnown(settling, session) else { return refuse(ticket, .preconditionFailed) }
        expected[ticket] = Expectation(
            kind: .exactly("done"), gone: try perform(settling, tags(of: settling, session), session))
    }

    /// Settles; returns what must not be in the database once that is answered.
    private func perform(
        _ settling: Settling, _ tags: [UInt64], _ session: ModelSession
    ) throws -> [Copy] {
        let settled = session.held.filter { tags.contains($0.tag) }
        session.held.removeAll { held in settled.contains { $0.tag == held.tag } }
        let copies = settled.map(\.copy)
        switch settling.outcome {
        case .requeue: try giveBack(copies, counted: false, isSettled: true, delay: settling.delay)
        case .fail: try giveBack(copies, counted: true, isSettled: true, delay: settling.delay)
        case .ack:
            for copy in copies { settle(copy) }
        case .deadLetter:
            for copy in copies { if copy.queue.isDeleted { settle(copy) } else { condemn(copy, .rejected) } }
        }
        try dispatchAll()
        return settling.outcome == .ack || settling.outcome == .deadLetter ? copies : []
    }

    // MARK: - Consumers

    private func consume(_ call: Call, _ session: ModelSession, _ ticket: Ticket) throws {
        guard
            case .consume(
                let name, let tag, let prefetch, let autoAck, let exclusive, let priority, let timeout,
                let countsFirst) = call
        else { return }
        guard let queue = usable(name, session, ticket) else { return }
        if session.consumers.contains(where: { $0.tag == tag }) { return refuse(ticket, .notAllowed) }
        if exclusive, queue.isSingleActive { return refuse(ticket, .accessRefused) }
        if let other = queue.consumers.first, other.isExclusive || exclusive {
            return refuse(ticket, .accessRefused)
        }
        let consumer = ModelConsumer(
            tag: tag, session: session, queue: queue, prefetch: prefetch, autoAck: autoAck,
            isExclusive: exclusive, priority: priority, timeout: timeout, countsFirst: countsFirst)
        session.consumers.append(consumer)
        queue.consumers.append(consumer)
        queue.hadConsumer = true
        expect(ticket, "consuming \(tag)")
        try dispatch(queue)
    }

    private func cancel(_ tag: String, _ requeue: Bool, _ session: ModelSession, _ ticket: Ticket) throws {
        guard let consumer = session.consumers.first(where: { $0.tag == tag }) else {
            return refuse(ticket, .notFound)
        }
        let before = durableChanges
        if requeue {
            let own = session.free.filter { $0.consumer === consumer }
            session.held.removeAll { held in own.contains { $0.tag == held.tag } }
            try giveBack(own.map(\.copy), counted: false)
        }
        remove(consumer)
        try dispatchAll()
        expect(ticket, "done", since: before)
    }

    func remove(_ consumer: ModelConsumer) {
        let queue = consumer.queue
        consumer.session.consumers.removeAll { $0 === consumer }
        queue.consumers.removeAll { $0 === consumer }
        queue.lastUsed = now
        if queue.definition.isAutoDelete, queue.consumers.isEmpty { delete(queue) }
    }

    // MARK: - Moving

    private func move(_ call: Call, _ session: ModelSession, _ ticket: Ticket) {
        guard
            case .move(let sourceName, let toQueue, let toExchange, let key, let countMax, let condition) =
                call
        else { return }
        guard let source = usable(sourceName, session, ticket) else { return }
        var target: ModelQueue?
        if let toQueue {
            guard let queue = usable(toQueue, session, ticket) else { return }
            target = queue
        } else {
            guard let exchange = exchange(toExchange ?? "") else { return refuse(ticket, .notFound) }
            if exchange.isInternal { return refuse(ticket, .accessRefused) }
        }
        let move = ModelMove(
            ticket: ticket, source: source, target: target, toExchange: toExchange, key: key,
            mostWanted: countMax ?? .max, through: highestNumber, condition: condition)
        moves.append(move)
        expected[ticket] = Expectation(kind: .move(move))
    }
}
