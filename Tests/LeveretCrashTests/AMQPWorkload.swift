// The load over AMQP: publishers in confirm mode, consumers with a prefetch, and transactions. As in Workload.swift,
// one thread drives them all, and what the server says is noted in the journal.

import LeveretTestSupport

/// One client of the load.
protocol AMQPHand {
    /// Its connection.
    var socket: AMQPSocket { get }
    /// Takes in what the server said, and goes on unless that `isDead`. Returns how many answers came.
    func work(_ journal: inout Journal, isDead: Bool, using chance: inout Chance) throws -> Int
}

extension AMQPSocket {
    /// Adds a publish of a numbered message, whose number stands at the beginning of its body and is its message-id.
    func publish(_ sequence: Int, to key: String, exchange: String = "", length: Int = 20) {
        let id = Array("\(sequence)".utf8)
        publish(
            "\(sequence) " + String(repeating: ".", count: length), to: key, exchange: exchange,
            properties: [0x10, 0x80, 2, UInt8(id.count)] + id)
    }

    /// Sends what was said, and waits for an answer that begins like this.
    func ask(_ answer: String, _ say: (AMQPSocket) -> Void) throws {
        say(self)
        try expect(answer)
    }
}

/// A delivery as the server tells it: `basic.deliver t 7 false '' jobs {10 80 2 1 35} …`.
struct AMQPDelivered {
    let tag: UInt64
    let sequence: Int

    /// `nil` for what is no delivery.
    init?(_ text: String) {
        let words = text.split(separator: " ")
        guard words.first == "basic.deliver", let tag = UInt64(words[2]) else { return nil }
        // The message-id is the last property.
        let bytes = text.drop { $0 != "{" }.dropFirst().prefix { $0 != "}" }.split(separator: " ")
            .compactMap { UInt8($0, radix: 16) }
        let digits = bytes.reversed().prefix { (0x30...0x39).contains($0) }.reversed()
        guard let sequence = Int(String(decoding: digits, as: UTF8.self)) else { return nil }
        (self.tag, self.sequence) = (tag, sequence)
    }
}

/// Publishes numbered messages as fast as the server confirms them.
final class AMQPPublisher: AMQPHand {
    private static let inFlightMax = 100

    let socket: AMQPSocket
    private let exchange: String
    private let key: String
    private let groups: [String]  // each publish reaches all of them
    /// The number of its next message.
    private(set) var next: Int
    private var inFlight: [(tag: UInt64, sequence: Int)] = []
    private var tags: UInt64 = 0

    init(port: UInt16, exchange: String, key: String, groups: [String], next: Int) throws {
        socket = try AMQPSocket(port: port, frameMax: 4096)
        (self.exchange, self.key, self.groups, self.next) = (exchange, key, groups, next)
        try socket.ask("confirm.select-ok") { $0.selectConfirms() }
    }

    func work(_ journal: inout Journal, isDead: Bool, using chance: inout Chance) throws -> Int {
        var count = 0
        while let text = try socket.takeNext() {
            let words = text.split(separator: " ")
            let isRefused = words[0] == "basic.nack"
            guard words[0] == "basic.ack" || isRefused, let tag = UInt64(words[1]) else {
                journal.fail("a publish to '\(exchange)' '\(key)' was answered '\(text)'")
                break
            }
            let isMultiple = words[2] == "true" || (isRefused && words[2] != "0" && words[2] != "2")
            let told = inFlight.filter { isMultiple ? $0.tag <= tag : $0.tag == tag }
            if told.isEmpty { journal.fail("'\(text)' came for a publish that was told before") }
            inFlight.removeAll { isMultiple ? $0.tag <= tag : $0.tag == tag }
            count += told.count
            for (_, sequence) in told {
                for group in groups {
                    let key = CopyKey(group: group, sequence: sequence)
                    if isRefused { journal.publishRefused(key) } else { journal.publishConfirmed(key) }
                }
            }
        }
        while !isDead, inFlight.count < Self.inFlightMax {
            for group in groups { journal.publishSent(CopyKey(group: group, sequence: next)) }
            // Some in several frames.
            let length = chance.next(below: 4) == 0 ? chance.next(below: 9_000) : 40
            socket.publish(next, to: key, exchange: exchange, length: length)
            tags += 1
            inFlight.append((tags, next))
            next += 1
        }
        return count
    }
}

/// Consumes a queue with a prefetch and settles what comes by a rule.
final class AMQPWorker: AMQPHand {
    /// What becomes of a delivery.
    enum Verdict {
        case ack
        /// Acked together with everything that is held.
        case ackAllHeld
        /// Dead-lettered.
        case reject
        /// Back to its place, counted as failed.
        case requeue
        /// Held for now.
        case hold
    }

    let socket: AMQPSocket
    private let queue: String
    private let prefetch: Int
    private let rule: (_ sequence: Int) -> Verdict
    private var held: [CopyKey] = []
    /// Settled and not yet known to be durable; a qos-ok behind each list says that it is.
    private var asked: [[(key: CopyKey, verdict: Verdict)]] = []

    init(
        port: UInt16, queue: String, prefetch: Int, rule: @escaping (_ sequence: Int) -> Verdict
    ) throws {
        socket = try AMQPSocket(port: port, frameMax: 4096)
        (self.queue, self.prefetch, self.rule) = (queue, prefetch, rule)
        try socket.ask("basic.qos-ok") { $0.qos(UInt16(prefetch)) }
        try socket.ask("basic.consume-ok") { $0.consume(queue, as: "w") }
    }

    func work(_ journal: inout Journal, isDead: Bool, using chance: inout Chance) throws -> Int {
        var count = 0
        var settled: [(key: CopyKey, verdict: Verdict)] = []
        while let text = try socket.takeNext() {
            if let delivery = AMQPDelivered(text) {
                let key = journal.key(queue, delivery.sequence)
                journal.delivered(key, from: queue)
                held.append(key)
                if held.count > prefetch { journal.fail("\(queue): \(held.count) held, \(prefetch) may be") }
                if !isDead { settled += settle(key, delivery.tag, &journal) }
            } else if text == "basic.qos-ok", !asked.isEmpty {
                let durable = asked.removeFirst()
                for (key, verdict) in durable { answered(key, verdict, &journal) }
                count += durable.count
            } else {
                journal.fail("\(queue): the server said '\(text)'")
                break
            }
        }
        if !settled.isEmpty {
            // It leaves running consumers alone, and is answered once what was settled before is durable.
            socket.qos(UInt16(prefetch))
            asked.append(settled)
        }
        return count
    }

    private func settle(
        _ key: CopyKey, _ tag: UInt64, _ journal: inout Journal
    ) -> [(key: CopyKey, verdict: Verdict)] {
        // One that would hold as much as it may lets go of all.
        let wanted = rule(key.sequence)
        let verdict = wanted == .hold && held.count == prefetch ? .ackAllHeld : wanted
        var keys = [key]
        switch verdict {
        case .hold: return []
        case .ack: socket.ack(tag)
        case .ackAllHeld:
            socket.ack(tag, multiple: true)
            keys = held
        case .reject: socket.nack(tag, requeue: false)
        case .requeue: socket.reject(tag, requeue: true)
        }
        held.removeAll { keys.contains($0) }
        for key in keys {
            if verdict == .ack || verdict == .ackAllHeld {
                journal.ackSent(key)
            } else {
                journal.rejectSent(key)
            }
        }
        return keys.map { ($0, verdict) }
    }

    private func answered(_ key: CopyKey, _ verdict: Verdict, _ journal: inout Journal) {
        switch verdict {
        case .ack, .ackAllHeld: journal.ackAnswered(key)
        case .reject: journal.rejectAnswered(key, requeued: false)
        case .requeue: journal.rejectAnswered(key, requeued: true)
        case .hold: break
        }
    }
}

/// Publishes each number to both queues of a pair in a transaction, or rolls that back.
final class AMQPTransactor: AMQPHand {
    private static let inFlightMax = 20

    let socket: AMQPSocket
    private let pair: (String, String)
    /// The next number.
    private(set) var next: Int
    private var inFlight: [(sequence: Int, isCommit: Bool)] = []

    init(port: UInt16, pair: (String, String), next: Int) throws {
        socket = try AMQPSocket(port: port)
        (self.pair, self.next) = (pair, next)
        try socket.ask("tx.select-ok") { $0.selectTx() }
    }

    func work(_ journal: inout Journal, isDead: Bool, using chance: inout Chance) throws -> Int {
        var count = 0
        while let text = try socket.takeNext() {
            guard let (sequence, isCommit) = inFlight.first,
                text == (isCommit ? "tx.commit-ok" : "tx.rollback-ok")
            else {
                journal.fail("a transaction on \(pair) was answered '\(text)'")
                break
            }
            inFlight.removeFirst()
            count += 1
            guard isCommit else { continue }
            for key in keys(sequence) { journal.publishConfirmed(key) }
        }
        while !isDead, inFlight.count < Self.inFlightMax {
            let isCommit = chance.next(below: 5) != 0
            for key in keys(next) {
                journal.publishSent(key)
                socket.publish(next, to: key.group)
                if !isCommit { journal.publishRefused(key) }
            }
            if isCommit { socket.commit() } else { socket.rollback() }
            inFlight.append((next, isCommit))
            next += 1
        }
        return count
    }

    private func keys(_ sequence: Int) -> [CopyKey] {
        [pair.0, pair.1].map { CopyKey(group: $0, sequence: sequence) }
    }
}

/// Takes from a queue and publishes what it took to another, with a receipt to a third: all in one transaction, which it
/// now and then rolls back first.
final class AMQPForwarder: AMQPHand {
    let socket: AMQPSocket
    private let queue: String
    private let target: String
    private let receipts: String
    private var asked: [(key: CopyKey, isCommit: Bool)] = []

    init(port: UInt16, from queue: String, to target: String, receipts: String) throws {
        socket = try AMQPSocket(port: port)
        (self.queue, self.target, self.receipts) = (queue, target, receipts)
        try socket.ask("basic.qos-ok") { $0.qos(30) }
        try socket.ask("tx.select-ok") { $0.selectTx() }
        try socket.ask("basic.consume-ok") { $0.consume(queue, as: "f") }
    }

    func work(_ journal: inout Journal, isDead: Bool, using chance: inout Chance) throws -> Int {
        var count = 0
        while let text = try socket.takeNext() {
            if let delivery = AMQPDelivered(text) {
                let key = journal.key(queue, delivery.sequence)
                journal.delivered(key, from: queue)
                if !isDead { forward(key, delivery.tag, &journal, using: &chance) }
            } else if let (key, isCommit) = asked.first,
                text == (isCommit ? "tx.commit-ok" : "tx.rollback-ok")
            {
                asked.removeFirst()
                count += 1
                guard isCommit else { continue }
                journal.rejectAnswered(key, requeued: false)
                journal.publishConfirmed(CopyKey(group: receipts, sequence: key.sequence))
            } else {
                journal.fail("\(queue): the server said '\(text)'")
                break
            }
        }
        return count
    }

    private func forward(
        _ key: CopyKey, _ tag: UInt64, _ journal: inout Journal, using chance: inout Chance
    ) {
        if chance.next(below: 10) == 0 {
            socket.ack(tag)
            socket.publish(key.sequence, to: target)
            socket.rollback()
            asked.append((key, false))
        }
        journal.publishSent(CopyKey(group: receipts, sequence: key.sequence))
        socket.ack(tag)
        socket.publish(key.sequence, to: target)
        socket.publish(key.sequence, to: receipts)
        socket.commit()
        journal.rejectSent(key)
        asked.append((key, true))
    }
}
