// LIST and ROUTE a page at a time, and the order that they keep.

import LeveretTestSupport
import Testing

@testable import LeveretCore

@Suite struct ListingTests {
    private static var limits: CoreLimits {
        var limits = CoreLimits()
        (limits.pageRowsMax, limits.pageLooksMax) = (10, 30)
        return limits
    }

    /// All rows of a listing; `between` runs after each page.
    private func rows<Row>(
        of first: Request, on broker: CoreHarness, between: () -> Void = {}, _ rows: (Answer) -> [Row]?
    ) throws -> [Row] {
        var found: [Row] = []
        var request = first
        while true {
            guard case .page(let page, let next)? = broker.run(request), let rows = rows(page) else {
                Issue.record("no page")
                return found
            }
            #expect(rows.count <= 10)
            found += rows
            guard let next else { return found }
            request = try #require(request.goingOn(after: next))
            between()
        }
    }

    private func queues(
        of broker: CoreHarness, match: String? = nil, between: () -> Void = {}
    ) throws -> [String] {
        try rows(of: .list(.queues, match: match), on: broker, between: between) {
            if case .queues(let rows) = $0 { rows.map(\.definition.name.rawValue) } else { nil }
        }
    }

    private func bindings(of broker: CoreHarness) throws -> [String] {
        try rows(of: .list(.bindings, match: nil), on: broker) {
            if case .bindings(let rows) = $0 { rows.map(\.routingKey) } else { nil }
        }
    }

    @Test func `queues are listed by name, each once, page by page`() throws {
        let broker = CoreHarness(limits: Self.limits)
        let names = (0..<95).map { "q\($0 * 37 % 95)" }
        for name in names { broker.queue(QueueName(name)) }
        #expect(try queues(of: broker) == names.sorted())
        // Few match, so a page may be empty and more may follow.
        #expect(try queues(of: broker, match: "q9?") == ["q90", "q91", "q92", "q93", "q94"])
        #expect(try queues(of: broker, match: "none") == [])
    }

    @Test func `the order is the same after a restart`() throws {
        let broker = CoreHarness(limits: Self.limits)
        for name in ["c", "a", "b"] { broker.queue(QueueName(name)) }
        broker.run(.deleteQueue("c", ifUnused: false, ifEmpty: false))
        for name in ["e", "d"] { broker.queue(QueueName(name)) }
        #expect(try queues(of: broker) == ["a", "b", "d", "e"])
        let deleted = broker.definitions.count
        broker.definitions.removeAll {
            if case .putQueue(_, let queue, _) = $0 { queue.name == "c" } else { false }
        }
        #expect(broker.definitions.count == deleted - 1)
        #expect(try queues(of: broker.crashed()) == ["a", "b", "d", "e"])
    }

    @Test func `what comes and goes between two pages costs and doubles no other row`() throws {
        let broker = CoreHarness(limits: Self.limits)
        for number in 100..<150 { broker.queue(QueueName("q\(number)")) }
        var step = 0
        let found = try queues(of: broker) {
            step += 1
            broker.queue(QueueName("q1000\(step)"))
            broker.run(.deleteQueue(QueueName("q\(100 + 10 * step - 1)"), ifUnused: false, ifEmpty: false))
        }
        #expect(found == (100..<150).map { "q\($0)" })
    }

    @Test func `bindings are listed as they were made, consumers and connections as they came`() throws {
        let broker = CoreHarness(limits: Self.limits)
        broker.queue("jobs")
        for number in 0..<45 {
            broker.run(.bind(Binding(source: "amq.topic", target: .queue("jobs"), routingKey: "k\(number)")))
        }
        broker.run(.unbind(Binding(source: "amq.topic", target: .queue("jobs"), routingKey: "k7")))
        #expect(try bindings(of: broker) == (0..<45).filter { $0 != 7 }.map { "k\($0)" })
        let other = broker.openSession()
        for number in 0..<25 {
            let consume = Consume(queue: "jobs", tag: ConsumerTag("c\(number)"))
            broker.run(.consume(consume), from: number.isMultiple(of: 2) ? broker.session : other)
        }
        let tags = try rows(of: .list(.consumers, match: nil), on: broker) {
            if case .consumers(let rows) = $0 { rows.map(\.tag.rawValue) } else { nil }
        }
        #expect(tags == (0..<13).map { "c\(2 * $0)" } + (0..<12).map { "c\(2 * $0 + 1)" })
        for number in 0..<35 { _ = broker.core.openConnection(name: "n\(number)", now: broker.now) }
        let names = try rows(of: .list(.connections, match: nil), on: broker) {
            if case .connections(let rows) = $0 { rows.map(\.name) } else { nil }
        }
        #expect(names == ["test"] + (0..<35).map { "n\($0)" })
    }

    @Test func `a long way is told page by page`() throws {
        let broker = CoreHarness(limits: Self.limits)
        for number in 0..<25 {
            broker.queue(QueueName("q\(number)"))
            broker.run(.bind(Binding(source: "amq.fanout", target: .queue(QueueName("q\(number)")))))
        }
        let message = Message(exchange: "amq.fanout", routingKey: "", body: [])
        let targets = try rows(of: .route(message), on: broker) {
            if case .routes(let steps) = $0 { steps.map(\.target) } else { nil }
        }
        #expect(targets == (0..<25).map { .queue(QueueName("q\($0)")) })
    }

    @Test(arguments: 1...5 as ClosedRange<UInt64>)
    func `sorted runs are a sorted set`(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var runs = SortedRuns<Int>()
        var set: Set<Int> = []
        for step in 0..<6000 {
            let element = step < 2000 ? step : Int.random(in: 0..<4000, using: &random)
            if step < 4000 || Bool.random(using: &random) {
                runs.insert(element)
                set.insert(element)
            } else {
                runs.remove(element)
                set.remove(element)
            }
        }
        var found: [Int] = []
        runs.walk(after: nil) {
            found.append($0)
            return true
        }
        #expect(found == set.sorted())
        for after in [-1, 0, 511, 512, 1999, 4000] {
            var next: Int?
            runs.walk(after: after) {
                next = $0
                return false
            }
            #expect(next == set.sorted().first { $0 > after })
        }
    }
}
