// kill -9 under a load that comes over AMQP: confirms, several acks at once, prefetch, dead letters and transactions,
// held to the same journal as the line protocol's. `LEVERET_CRASH_ROUNDS` says how often (4).

import Foundation
import LeveretTestSupport
import Testing

@Suite struct AMQPCrashTests {
    @Test func `kill -9 under an AMQP load loses nothing confirmed and brings nothing acked back`()
        async throws
    {
        let environment = ProcessInfo.processInfo.environment
        let rounds = environment["LEVERET_CRASH_ROUNDS"].flatMap { Int($0) } ?? 4
        let seed = environment["LEVERET_CRASH_SEED"].flatMap { UInt64($0) } ?? 1
        let journal = try await onOwnThread {
            let folder = try TemporaryFolder()
            var harness = AMQPCrashHarness(database: folder.path("crash.db"), seed: seed)
            for round in 1...max(rounds, 1) where harness.journal.failures.isEmpty {
                try harness.run(round: round, isLast: round == rounds)
            }
            return harness.journal
        }
        for failure in journal.failures.prefix(20) { Issue.record("seed \(seed): \(failure)") }
        print(
            """
            \(rounds) times kill -9 over AMQP: \(journal.confirms) confirms and \(journal.refusals) refusals, \
            \(journal.answeredAcks) acks and \(journal.answeredRejects) rejects known to be durable; \
            \(journal.found) messages found after restarts, \(journal.foundDead) of them dead letters; \
            \(journal.failures.count) broken promises
            """
        )
        #expect(journal.confirms > 0 && journal.answeredAcks > 0 && journal.answeredRejects > 0)
        #expect(journal.found > 0 && journal.foundDead > 0)
    }
}

/// Runs rounds of load over AMQP and crash on one file.
struct AMQPCrashHarness {
    private static let notices = QueueGroup(
        source: "notices", options: "ttl=20 dead-letter-exchange=\"\" dead-letter-key=notices.dead",
        dead: "notices.dead", keepsOrder: true)
    private static let groups = [
        QueueGroup(
            source: "orders", options: "dead-letter-exchange=\"\" dead-letter-key=orders.dead",
            dead: "orders.dead"),
        QueueGroup(
            source: "retry", options: "delivery-limit=2 dead-letter-exchange=\"\" dead-letter-key=retry.dead",
            dead: "retry.dead"),
        notices,
        QueueGroup(source: "full", options: "max-length=60 overflow=reject-publish"),
        QueueGroup(source: "tasks", dead: "tasks.done"),
        QueueGroup(source: "receipts"),
        QueueGroup(source: "copy.a"),
        QueueGroup(source: "copy.b"),
        QueueGroup(source: "pair.a"),
        QueueGroup(source: "pair.b"),
    ]
    private static let lanes: [(exchange: String, key: String, groups: [String])] = [
        ("", "orders", ["orders"]), ("", "retry", ["retry"]), ("", "notices", ["notices"]),
        ("", "full", ["full"]), ("", "tasks", ["tasks"]), ("copies", "", ["copy.a", "copy.b"]),
    ]

    private let database: String
    private var chance: Chance
    private var nextSequences = [Int](repeating: 0, count: lanes.count + 1)
    /// What was promised over all rounds.
    private(set) var journal = Journal(
        groups, twins: [("copy.a", "copy.b"), ("pair.a", "pair.b")], receipts: ("tasks.done", "receipts"))

    /// Rounds on the file at `database`, with the chance of `seed`.
    init(database: String, seed: UInt64) {
        self.database = database
        chance = Chance(seed: seed)
    }

    /// Starts a server, loads it, kills it at a moment of chance, and checks what its successor holds.
    mutating func run(round: Int, isLast: Bool) throws {
        let server = try ServerProcess(database: database)
        try declare(on: server.port)
        // The first goes on until everything has been promised that there is.
        let answersMax = max(chance.next(below: 1 << (6 + chance.next(below: 8))), round == 1 ? 4_000 : 0)
        try load(server, answersMax: answersMax)
        guard journal.failures.isEmpty else {
            return journal.fail("that was round \(round); \(server.program.errorText)")
        }
        try checkFile()
        if isLast || chance.next(below: 3) != 0 { try checkContents() }
    }

    private func declare(on port: UInt16) throws {
        let line = try LineSocket(port: port)
        for group in Self.groups {
            for queue in group.queues {
                try line.expectOK("QUEUE \(queue) \(queue == group.source ? group.options : "")")
            }
        }
        let client = try AMQPSocket(port: port)
        try client.ask("exchange.declare-ok") { $0.declareExchange("copies", "fanout", durable: true) }
        for queue in ["copy.a", "copy.b"] {
            try client.ask("queue.bind-ok") { $0.bindQueue(queue, to: "copies") }
        }
    }

    private mutating func load(_ server: ServerProcess, answersMax: Int) throws {
        let port = server.port
        let publishers = try zip(Self.lanes, nextSequences).map { lane, next in
            try AMQPPublisher(
                port: port, exchange: lane.exchange, key: lane.key, groups: lane.groups, next: next)
        }
        let transactor = try AMQPTransactor(
            port: port, pair: ("pair.a", "pair.b"), next: nextSequences[Self.lanes.count])
        let workers = [
            try AMQPWorker(port: port, queue: "orders", prefetch: 50) {
                $0 % 5 == 0 ? .reject : $0 % 97 == 0 ? .hold : .ack
            },
            try AMQPWorker(port: port, queue: "orders.dead", prefetch: 30) { $0 % 2 == 0 ? .ack : .hold },
            try AMQPWorker(port: port, queue: "retry", prefetch: 20) { $0 % 3 == 0 ? .requeue : .ack },
            try AMQPWorker(port: port, queue: "full", prefetch: 10) { _ in .ack },
            try AMQPWorker(port: port, queue: "copy.a", prefetch: 100) {
                $0 % 10 == 9 ? .ackAllHeld : .hold
            },
        ]
        let forwarder = try AMQPForwarder(port: port, from: "tasks", to: "tasks.done", receipts: "receipts")
        let hands: [any AMQPHand] = publishers + [transactor, forwarder] + workers
        let sockets = hands.map(\.socket.socket)
        var answers = 0
        while answers < answersMax, journal.failures.isEmpty {
            for hand in hands { answers += try hand.work(&journal, isDead: false, using: &chance) }
            for socket in sockets { socket.exchange() }
            guard sockets.allSatisfy(\.isOpen) else {
                journal.fail("the server closed a connection")
                break
            }
            try LineSocket.wait(for: sockets)
            for socket in sockets { socket.exchange() }
        }
        server.crash()
        // What it had said before still counts.
        while sockets.contains(where: \.isOpen) { for socket in sockets { socket.exchange() } }
        for hand in hands { _ = try hand.work(&journal, isDead: true, using: &chance) }
        journal.crashed()
        nextSequences = publishers.map(\.next) + [transactor.next]
    }

    /// Has a copy of the files looked through, so that the next server meets them as the crash left them.
    private mutating func checkFile() throws {
        let folder = try TemporaryFolder()
        for ending in ["", "-wal"] where FileManager.default.fileExists(atPath: database + ending) {
            try FileManager.default.copyItem(
                atPath: database + ending, toPath: folder.path("copy.db" + ending))
        }
        let result = try Program("leveret", ["verify", "--db", folder.path("copy.db")]).finish()
        if result.status != 0 { journal.fail("verify: \(result.output)\(result.errors)") }
    }

    /// Takes everything out of every queue of a fresh server and compares it with the journal.
    private mutating func checkContents() throws {
        let server = try ServerProcess(database: database)
        let socket = try LineSocket(port: server.port)
        // Notices expire by themselves; the rest stands still.
        while try socket.ready(Self.notices.source, Self.notices.options) > 0 {}
        var contents: [(queue: String, messages: [Found])] = []
        for group in Self.groups {
            for queue in group.queues {
                let count = try socket.ready(queue, queue == group.source ? group.options : "")
                contents.append((queue, try socket.take(queue, count: count)))
            }
        }
        journal.compare(with: contents)
        let keys = contents.flatMap { content in
            content.messages.map { journal.key(content.queue, $0.sequence) }
        }
        for key in keys { journal.ackSent(key) }
        if !keys.isEmpty { try socket.expectOK("ACK 0 multiple") }
        for key in keys { journal.ackAnswered(key) }
        server.crash()
    }
}
