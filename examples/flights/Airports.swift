// Three airports on a broker: which queues there are, who works on them, and what two days do to them. The
// broker's clock is moved by hand, so the two days pass in a second and always in the same way.

import Leveret
import Synchronization

/// A clock that stands still until somebody moves it.
final class HandClock: Sendable {
    private let milliseconds = Atomic<Int64>(1_374_451_200_000)  // 2013-07-22T00:00:00Z

    /// The clock as a broker takes it.
    var brokerClock: BrokerClock {
        BrokerClock(pollMilliseconds: 1) { [self] in
            Instant(milliseconds: milliseconds.load(ordering: .relaxed))
        }
    }

    /// Moves it on.
    func advance(hours: Int64) { milliseconds.add(hours * 3_600_000, ordering: .relaxed) }
}

/// What the people at the airports did.
struct WorkDone {
    /// Notices that the clerk at the desk served.
    var served = 0
    /// Cancellations that the worker settled.
    var settled = 0
    /// How often the worker handed one back.
    var rejections = 0
}

/// The broker of three airports.
struct Airports {
    /// How often a cancellation may fail before it goes to review.
    static let deliveryLimit = 3

    let broker: Broker

    /// Declares the exchange, and queues for these airlines and airports.
    func declare(carriers: [String], origins: [String]) async throws {
        try await broker.declareExchange("flights", type: .topic)
        for carrier in carriers { try await declare("airline.\(carrier)", ["*.\(carrier).#"]) }
        for origin in origins { try await declare("origin.\(origin)", ["*.*.\(origin).*"]) }
        try await declare("delays", ["delayed.#"])

        // Who reports at the desk within half an hour is served there; else a supervisor hears of it.
        try await broker.declareQueue("supervisor")
        try await declare(
            "desk.EWR", ["delayed.*.EWR.*", "cancelled.*.EWR.*"],
            [
                "x-message-ttl": .int(1_800_000),
                "x-dead-letter-exchange": .string(""),
                "x-dead-letter-routing-key": .string("supervisor"),
            ])

        // A cancellation that fails time and again is looked at by a person.
        try await broker.declareQueue("review")
        try await declare(
            "cancellations", ["cancelled.#"],
            [
                "x-delivery-limit": .int(Int64(Self.deliveryLimit)),
                "x-dead-letter-exchange": .string(""),
                "x-dead-letter-routing-key": .string("review"),
            ])
    }

    private func declare(_ queue: String, _ patterns: [String], _ arguments: FieldTable = [:]) async throws {
        try await broker.declareQueue(QueueName(queue), arguments: arguments)
        for pattern in patterns {
            try await broker.bind(QueueName(queue), to: "flights", routingKey: pattern)
        }
    }

    /// Publishes a day's events: all of them, or none.
    func publish(_ flights: [Flight]) async throws {
        try await broker.publish(
            batch: flights.map { OutgoingMessage($0.json, to: "flights", routingKey: $0.routingKey) })
    }

    /// The clerk serves whoever stands at the desk.
    func serveDesk() async throws -> Int {
        var served = 0
        while let notice = try await broker.get("desk.EWR") {
            try await notice.ack()
            served += 1
        }
        return served
    }

    /// The worker settles cancellations. Those without an aircraft it hands back: it can't settle them,
    /// however often they come.
    func settleCancellations() async throws -> (settled: Int, rejections: Int) {
        var settled = 0
        var rejections = 0
        for try await notice in try await broker.consume("cancellations", prefetch: 1) {
            if notice.text?.contains("\"tailnum\":null") == true {
                try await notice.reject(requeue: true, error: "no aircraft had been assigned")
                rejections += 1
            } else {
                try await notice.ack()
                settled += 1
            }
            let left = try await broker.status(of: "cancellations")
            if left.ready + left.unacked == 0 { break }
        }
        return (settled, rejections)
    }
}
