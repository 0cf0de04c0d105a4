// Virtual hosts from Swift: the broker as each of them has it.

import Leveret
import LeveretTestSupport
import Testing

@Suite(.timeLimit(.minutes(10)))
struct BrokerVirtualHostTests {
    @Test func `each handle has names of its own, also for consumers`() async throws {
        let broker = try Broker(.memory)
        try await broker.createVirtualHost("shop")
        let shop = try await broker.virtualHost("shop")
        #expect(broker.virtualHost == "/" && shop.virtualHost == "shop")
        for (broker, text) in [(broker, "here"), (shop, "there")] {
            try await broker.declareQueue("jobs")
            try await broker.publish(text, to: "jobs")
        }
        for (broker, text) in [(broker, "here"), (shop, "there")] {
            for try await job in try await broker.consume("jobs") {
                #expect(job.text == text)
                try await job.ack()
                break
            }
        }
        #expect(try await shop.queues().map(\.definition.name) == ["jobs"])
        let hosts = try await broker.virtualHosts()
        #expect(hosts.map(\.name) == ["/", "shop"] && hosts.map(\.queues) == [1, 1])
        let error = await #expect(throws: BrokerError.self) { try await broker.virtualHost("none") }
        #expect(error == BrokerError(.notFound, "no vhost 'none'"))
        try await shop.shutdown()
    }

    @Test func `a message is settled together with publishes of its own virtual host only`() async throws {
        let broker = try Broker(.memory)
        try await broker.createVirtualHost("shop")
        let shop = try await broker.virtualHost("shop")
        try await shop.declareQueue("jobs")
        try await shop.publish("x", to: "jobs")
        guard let job = try await shop.get("jobs") else {
            Issue.record("nothing was there")
            return
        }
        let error = await #expect(throws: BrokerError.self) {
            try await broker.transaction { transaction in
                transaction.publish("y", to: "jobs")
                try transaction.ack(job)
            }
        }
        #expect(error?.text.contains("came from another vhost than '/'") == true)
        try await shop.transaction { transaction in
            transaction.publish("y", to: "jobs")
            try transaction.ack(job)
        }
        #expect(try await shop.status(of: "jobs").ready == 1)
        try await broker.shutdown()
    }

    @Test func `a consumer in a virtual host that is deleted ends, and its handle is refused`() async throws {
        let broker = try Broker(.memory)
        try await broker.createVirtualHost("shop")
        let shop = try await broker.virtualHost("shop")
        try await shop.declareQueue("jobs")
        try await shop.publish("x", to: "jobs")
        let consumer = try await shop.consume("jobs", prefetch: 1)
        #expect(try await broker.deleteVirtualHost("shop") <= 1)
        await #expect(throws: BrokerError.self) {
            for try await _ in consumer {}
        }
        let error = await #expect(throws: BrokerError.self) { try await shop.publish("x", to: "jobs") }
        #expect(error == BrokerError(.notFound, "vhost 'shop' is deleted; enter another"))
        #expect(try await broker.deleteVirtualHost("shop") == 0)
        try await broker.shutdown()
    }

    @Test func `virtual hosts survive a restart, and what was deleted stays so`() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path("leveret.db")
        let broker = try Broker(.file(path))
        for name in ["shop", "gone"] as [VirtualHostName] {
            try await broker.createVirtualHost(name)
            let other = try await broker.virtualHost(name)
            try await other.declareQueue("jobs")
            for _ in 0..<100 { try await other.publish("x", to: "jobs") }
        }
        try await broker.limitVirtualHost("shop", to: VirtualHostLimits(queuesMax: 1))
        #expect(try await broker.deleteVirtualHost("gone") == 100)
        try await broker.shutdown()
        let again = try Broker(.file(path))
        #expect(try await again.virtualHosts().map(\.name) == ["/", "shop"])
        let shop = try await again.virtualHost("shop")
        #expect(try await shop.status(of: "jobs").ready == 100)
        #expect(try await again.query("SELECT count(*) FROM message").rows == [[.int(100)]])
        let error = await #expect(throws: BrokerError.self) { try await shop.declareQueue("more") }
        #expect(error?.code == .preconditionFailed)
        try await again.shutdown()
    }
}
