// Virtual hosts: what is in one goes with it, and sessions that are in it are in none from then on.

import LeveretCore

/// The names of the exchanges that every virtual host has.
let predeclaredNames = ["", "amq.direct", "amq.topic", "amq.fanout", "amq.headers"]

extension ReferenceModel {
    /// The exchanges that a virtual host begins with.
    static func predeclared(in vhost: String) -> [ModelExchange] {
        zip(predeclaredNames, ["direct", "direct", "topic", "fanout", "headers"]).map { name, type in
            ModelExchange(name: name.placed(in: vhost), type: type)
        }
    }

    /// True where a session may ask this; else the refusal is expected.
    func admits(_ call: Call, _ session: ModelSession, _ ticket: Ticket) -> Bool {
        guard session.isHomeless else { return true }
        switch call {
        case .enter, .createVirtualHost, .deleteVirtualHost, .limitVirtualHost, .settle, .settleAtCommit,
            .rollBack,
            .touch, .cancel, .prefetch, .recover:
            return true
        default:
            refuse(ticket, .notFound)
            return false
        }
    }

    func changeVirtualHost(_ call: Call, _ session: ModelSession, _ ticket: Ticket) {
        switch call {
        case .enter(let name):
            guard vhosts[name] != nil else { return refuse(ticket, .notFound) }
            let isThere = session.vhost == name && !session.isHomeless
            let waits = queues.contains { $0.gets.contains { $0.session === session } }
            if !isThere, !session.consumers.isEmpty || !session.held.isEmpty || waits {
                return refuse(ticket, .commandInvalid)
            }
            session.vhost = name
            session.isHomeless = false
            expect(ticket, "done")
        case .createVirtualHost(let name):
            let before = durableChanges
            if vhosts[name] == nil {
                vhosts[name] = .some(nil)
                exchanges += Self.predeclared(in: name)
                durableChanges += 1
            }
            expect(ticket, "done", since: before)
        case .limitVirtualHost(let name, let queuesMax):
            guard vhosts[name] != nil else { return refuse(ticket, .notFound) }
            let before = durableChanges
            vhosts[name] = .some(queuesMax)
            durableChanges += 1
            expect(ticket, "done", since: before)
        case .deleteVirtualHost(let name): deleteVirtualHost(name, session, ticket)
        default: break
        }
    }

    private func deleteVirtualHost(_ name: String, _ session: ModelSession, _ ticket: Ticket) {
        guard vhosts[name] != nil else { return expect(ticket, "count 0") }
        guard name != "/" else { return refuse(ticket, .accessRefused) }
        guard session.vhost != name || session.isHomeless else { return refuse(ticket, .preconditionFailed) }
        let own = queues.filter { $0.name.vhost == name }
        let ready = own.reduce(0) { $0 + $1.ready.count }
        let dead = own.reduce(0) { $0 + $1.condemned.count }
        vhosts[name] = nil
        bindings.removeAll { $0.source.vhost == name }
        exchanges.removeAll { $0.name.vhost == name }
        policies.removeAll { $0.name.vhost == name }
        for key in seen.keys where String(key.dropFirst()).vhost == name { seen[key] = nil }
        for queue in own { delete(queue) }
        // What was on its way to a dead-letter exchange has none any more.
        for copy in strays where copy.queue.name.vhost == name { settle(copy) }
        strays.removeAll { $0.queue.name.vhost == name }
        for session in sessions where session.vhost == name { session.isHomeless = true }
        for index in waitingPublishes.indices where waitingPublishes[index].vhost == name {
            waitingPublishes[index].vhost = ""
        }
        durableChanges += 1
        var expectation = Expectation(kind: .count(ready, orMore: isExact ? dead : 1000))
        expectation.durableSince = durableChanges
        expected[ticket] = expectation
    }
}
