// Connections that are in one virtual host for good, as AMQP's are: with sessions and without.

import Testing

@testable import LeveretCore

@Suite struct HomeTests {
    private func shop(connectionsMax: Int? = nil) -> CoreHarness {
        let broker = CoreHarness()
        broker.run(.createVirtualHost("shop"))
        broker.run(.limitVirtualHost("shop", VirtualHostLimits(connectionsMax: connectionsMax)))
        return broker
    }

    private func counts(_ broker: CoreHarness) -> [Int] {
        guard case .virtualHosts(let rows)? = broker.run(.list(.virtualHosts, match: nil)) else { return [] }
        return rows.map(\.connections)
    }

    private func open(_ broker: CoreHarness) -> ConnectionID {
        broker.core.openConnection(name: "c", isClosable: true, now: broker.now)
    }

    @Test func `a connection counts in its virtual host from the first, and its sessions begin there`() throws
    {
        let broker = shop()
        let connection = open(broker)
        try broker.core.enter("shop", with: connection)
        #expect(counts(broker) == [0, 1])
        let sessions = (0..<2).map { _ in broker.core.openSession(on: connection, now: broker.now) }
        broker.run(.declareQueue(QueueDefinition("q"), passive: false), from: sessions[0])
        #expect(broker.core.virtualHost(of: sessions[1]) == "shop")
        #expect(broker.refusal(of: .purge("q"))?.code == .notFound, "there is none in /")
        #expect(broker.refusal(of: .purge("q"), from: sessions[1]) == nil)
        for session in sessions { broker.core.closeSession(session, now: broker.now) }
        #expect(counts(broker).last == 1)
        broker.core.closeConnection(connection, now: broker.now)
        #expect(counts(broker).last == 0)
        broker.core.checkInvariants()
    }

    @Test func `one too many is refused, and may try again when another has gone`() throws {
        let broker = shop(connectionsMax: 1)
        let (first, second) = (open(broker), open(broker))
        broker.run(.administer(.add(UserDefinition("app", passwordHash: "h"))))
        try broker.core.logIn(second, as: "app", passwordHash: "h", now: 0)
        try broker.core.enter("shop", with: first)
        func refusal() -> BrokerError? {
            do throws(BrokerError) { try broker.core.enter("shop", with: second) } catch { return error }
            return nil
        }
        #expect(
            refusal() == BrokerError(.notAllowed, "access to vhost 'shop' refused for user 'app'"))
        broker.run(
            .administer(.permit(UserPermission("app", in: "shop", configure: "", write: "", read: ""))))
        #expect(
            refusal()
                == BrokerError(
                    .notAllowed,
                    "access to vhost 'shop' refused for user 'app': connection limit (1) is reached"))
        broker.core.closeConnection(first, now: broker.now)
        #expect(refusal() == nil && counts(broker) == [0, 1])
        #expect(throws: BrokerError(.notFound, "no vhost 'none'")) {
            try broker.core.enter("none", with: open(broker))
        }
    }

    @Test func `deleting the virtual host closes a connection that has no session in it`() throws {
        let broker = shop()
        let connection = open(broker)
        try broker.core.enter("shop", with: connection)
        _ = broker.core.takeOutputs()
        broker.ask(.deleteVirtualHost("shop"))
        let closings = broker.core.takeOutputs().closings
        broker.settle()
        #expect(closings.map(\.connection) == [connection])
        #expect(closings.map(\.reason) == ["vhost 'shop' is deleted"])
        let session = broker.core.openSession(on: connection, now: broker.now)
        #expect(broker.refusal(of: .purge("q"), from: session)?.code == .notFound)
        broker.core.closeConnection(connection, now: broker.now)
        #expect(counts(broker) == [0])
        broker.core.checkInvariants()
    }

    @Test func `sessions are listed page by page with what their doors know`() {
        var limits = CoreLimits()
        limits.pageRowsMax = 2
        let broker = CoreHarness(limits: limits)
        let connection = broker.core.openConnection(name: "client", now: broker.now)
        let sessions = (0..<5).map { _ in broker.core.openSession(on: connection, now: broker.now) }
        var notes = SessionNotes(channel: 7)
        notes.mode = .confirm
        notes.unconfirmed = 3
        broker.core.noted(notes, of: sessions[4])
        var rows: [SessionInfo] = []
        var cursor: ListCursor?
        repeat {
            guard
                case .page(.sessions(let page), let next)? = broker.run(
                    .list(.channels, match: "client", after: cursor))
            else { break }
            #expect(page.count <= 2)
            rows += page
            cursor = next
        } while cursor != nil
        #expect(rows.map(\.id) == sessions)
        #expect(rows.map(\.notes.channel) == [nil, nil, nil, nil, 7] && rows.last?.notes == notes)
    }
}
