// One database file, and the servers that live and die on it: load, kill -9, SQLite's own check, and what a
// successor holds against what the journal says it must hold.

import Foundation
import LeveretTestSupport

/// Runs rounds of load and crash on one file.
struct CrashHarness {
    private static let notices = QueueGroup(
        source: "notices", options: "ttl=20 dead-letter-exchange=\"\" dead-letter-key=notices.dead",
        dead: "notices.dead", keepsOrder: true
    )
    private static let groups = [
        QueueGroup(
            source: "orders", options: "dead-letter-exchange=\"\" dead-letter-key=orders.dead",
            dead: "orders.dead"
        ),
        QueueGroup(
            source: "retry", options: "delivery-limit=2 dead-letter-exchange=\"\" dead-letter-key=retry.dead",
            dead: "retry.dead"
        ),
        notices,
        QueueGroup(
            source: "limited",
            options: "max-length=40 dead-letter-exchange=\"\" dead-letter-key=limited.dead",
            dead: "limited.dead", keepsOrder: true
        ),
        QueueGroup(source: "tasks", dead: "tasks.done"),
        QueueGroup(source: "stock", dead: "shelf", keepsOrder: true),
        QueueGroup(source: "waste"),
        QueueGroup(source: "mist", isTransient: true),
        QueueGroup(source: "once", options: "deduplicate=3600000"),
        QueueGroup(source: "copy.a"),
        QueueGroup(source: "copy.b"),
    ]
    /// What is published, and which groups it reaches.
    private static let lanes = [
        (request: "PUB \"\" orders", groups: ["orders"]),
        (request: "PUB \"\" retry", groups: ["retry"]),
        (request: "PUB \"\" notices", groups: ["notices"]),
        (request: "PUB \"\" limited", groups: ["limited"]),
        (request: "PUB \"\" tasks", groups: ["tasks"]),
        (request: "PUB \"\" stock", groups: ["stock"]),
        (request: "PUB \"\" waste", groups: ["waste"]),
        (request: "PUB \"\" mist transient", groups: ["mist"]),
        (request: "PUB \"\" once", groups: ["once"]),
        (request: "PUB copies \"\"", groups: ["copy.a", "copy.b"]),
    ]

    private let database: String
    private var chance: Chance
    /// What was confirmed in `once`, and must be known again.
    private var seen: [Int] = []
    private var nextSequences = [Int](repeating: 0, count: lanes.count)
    /// What was promised over all rounds.
    private(set) var journal = Journal(groups, twins: [("copy.a", "copy.b")])
    /// What was promised of queues and bindings.
    private(set) var definitions = DefinitionJournal()

    /// Rounds on the file at `database`, with the chance of `seed`.
    init(database: String, seed: UInt64) {
        self.database = database
        chance = Chance(seed: seed)
    }

    /// Starts a server, loads it, kills it at a moment of chance, and checks what its successor holds.
    mutating func run(round: Int, isLast: Bool) throws {
        let server = try ServerProcess(database: database)
        try declare(LineSocket(port: server.port))
        // Now and then at once, mostly anywhere within the first thousands of answers.
        let atOnce = chance.next(below: 8) == 0
        let answersMax = atOnce ? 0 : chance.next(below: 1 << (6 + chance.next(below: 8)))
        try load(server, answersMax: answersMax)
        guard journal.failures.isEmpty else {
            return journal.fail("that was round \(round); \(server.program.errorText)")
        }
        try checkIntegrity()
        // Some rounds go on with what the crash left, so that backlogs meet several crashes.
        if isLast || chance.next(below: 3) != 0 { try checkContents() }
    }

    private func declare(_ socket: LineSocket) throws {
        for group in Self.groups {
            for queue in group.queues {
                try expectOK(socket, "QUEUE \(queue) \(queue == group.source ? group.options : "")")
            }
        }
        try expectOK(socket, "EXCHANGE copies fanout")
        try expectOK(socket, "EXCHANGE \(DefinitionJournal.exchange) direct")
        for queue in ["copy.a", "copy.b"] { try expectOK(socket, "BIND \(queue) copies") }
    }

    private mutating func load(_ server: ServerProcess, answersMax: Int) throws {
        let publishers = try Self.lanes.map {
            try Publisher(
                port: server.port, request: $0.request, groups: $0.groups,
                doubles: $0.groups == ["once"] ? seen : nil)
        }
        let workers = try makeWorkers(server.port)
        let mover = try Mover(port: server.port, from: "stock", to: "shelf")
        let purger = try Purger(port: server.port, queue: "waste")
        let declarer = try Declarer(port: server.port)
        let sockets =
            publishers.map(\.socket) + workers.map(\.socket) + [mover.socket, purger.socket, declarer.socket]
        var answers = 0
        // Few and far between, so the moment also waits for some of them.
        let choresMin = answersMax == 0 ? 0 : chance.next(below: 10)
        var chores = 0
        while answers < answersMax || chores < choresMin, journal.failures.isEmpty {
            for (index, publisher) in publishers.enumerated() {
                answers += publisher.takeReplies(&journal)
                publisher.publish(&journal, next: &nextSequences[index], using: &chance)
            }
            for worker in workers { answers += worker.takeReplies(&journal, isDead: false) }
            chores += mover.work(&journal, using: &chance) + purger.work(&journal, using: &chance)
            answers += declarer.work(&journal, &definitions, using: &chance)
            for socket in sockets { socket.exchange() }
            guard sockets.allSatisfy(\.isOpen) else {
                journal.fail("the server closed a connection")
                break
            }
            try LineSocket.wait(for: sockets)
            for socket in sockets { socket.exchange() }
        }
        server.crash()
        // What it had said before it died still counts.
        while sockets.contains(where: \.isOpen) {
            for socket in sockets { socket.exchange() }
        }
        for (lane, publisher) in zip(Self.lanes, publishers) {
            _ = publisher.takeReplies(&journal)
            if lane.groups == ["once"] { seen = Array((seen + publisher.confirmed).suffix(100)) }
        }
        for worker in workers { _ = worker.takeReplies(&journal, isDead: true) }
        mover.takeReplies(&journal)
        purger.takeReplies(&journal)
        declarer.takeReplies(&journal, &definitions)
        journal.crashed()
    }

    private func makeWorkers(_ port: UInt16) throws -> [Worker] {
        [
            try Worker(port: port, queue: "orders") { $0 % 5 == 0 ? .reject : $0 % 97 == 0 ? .hold : .ack },
            try Worker(port: port, queue: "orders.dead") { $0 % 2 == 0 ? .ack : .hold },
            try Worker(port: port, queue: "retry") { $0 % 3 == 0 ? .requeue : .ack },
            try Worker(port: port, queue: "tasks") {
                $0 % 11 == 0 ? .requeue : $0 % 3 == 0 ? .ack : .forward(to: "tasks.done")
            },
            try Worker(port: port, queue: "copy.a") { $0 % 10 == 9 ? .ackAllHeld : .hold },
        ]
    }

    /// Asks SQLite about a copy of the files, so that the next server meets them as the crash left them.
    private mutating func checkIntegrity() throws {
        let folder = try TemporaryFolder()
        for ending in ["", "-wal"] where FileManager.default.fileExists(atPath: database + ending) {
            try FileManager.default.copyItem(
                atPath: database + ending, toPath: folder.path("copy.db" + ending))
        }
        let question = "pragma integrity_check; pragma foreign_key_check"
        let result = try Program("/usr/bin/env", ["sqlite3", folder.path("copy.db"), question]).finish()
        if result.output != "ok\n" { journal.fail("integrity_check: \(result.output)\(result.errors)") }
        func list(_ query: String) throws -> Set<String> {
            let result = try Program("/usr/bin/env", ["sqlite3", folder.path("copy.db"), query]).finish()
            return Set(result.output.split(separator: "\n").map(String.init))
        }
        let bound = "select target from binding where source = '\(DefinitionJournal.exchange)'"
        definitions.compare(
            queues: try list("select name from queue where name like 'made.%'"), bound: try list(bound),
            &journal
        )
    }

    /// Takes everything out of every queue of a fresh server and compares it with the journal.
    private mutating func checkContents() throws {
        let server = try ServerProcess(database: database)
        let socket = try LineSocket(port: server.port)
        // Notices expire by themselves; the rest stands still.
        while try ready(socket, Self.notices.source, Self.notices.options) > 0 {}
        var contents: [(queue: String, sequences: [Int])] = []
        for group in Self.groups {
            for queue in group.queues {
                let options = queue == group.source ? group.options : ""
                contents.append((queue, try take(socket, queue, options)))
            }
        }
        journal.compare(with: contents)
        guard contents.contains(where: { !$0.sequences.isEmpty }) else { return server.crash() }
        let keys = contents.flatMap { content in content.sequences.map { journal.key(content.queue, $0) } }
        for key in keys { journal.ackSent(key) }
        try expectOK(socket, "ACK 0 multiple")
        for key in keys { journal.ackAnswered(key) }
        server.crash()
    }

    /// Gets all messages of a queue, in its order.
    private mutating func take(_ socket: LineSocket, _ queue: String, _ options: String) throws -> [Int] {
        let count = try ready(socket, queue, options)
        for _ in 0...count { socket.say("GET \(queue)") }
        var sequences: [Int] = []
        for _ in 0...count {
            guard let reply = try socket.waitForNext() else {
                throw SocketFailure(description: "the server closed the connection instead of answering GET")
            }
            if let sequence = reply.sequence {
                sequences.append(sequence)
            } else if reply.line != "NIL" {
                journal.fail("GET \(queue) was answered '\(reply)'")
            }
        }
        // What a crash left past the delivery limit, or over the queue's length, dies as soon as it is read.
        let mayDie = options.contains("delivery-limit=") || options.contains("max-length=")
        if sequences.count != count, !mayDie || sequences.count > count {
            journal.fail("\(queue) says ready=\(count), gave \(sequences.count)")
        }
        return sequences
    }

    /// How many messages of a queue are ready, as declaring it again tells.
    private func ready(_ socket: LineSocket, _ queue: String, _ options: String) throws -> Int {
        let reply = try socket.ask("QUEUE \(queue) \(options)")
        guard let count = reply["ready"].flatMap({ Int($0) }) else {
            throw SocketFailure(description: "QUEUE \(queue) was answered '\(reply)'")
        }
        return count
    }

    private func expectOK(_ socket: LineSocket, _ request: String) throws {
        let reply = try socket.ask(request)
        guard reply.line.hasPrefix("OK") else {
            throw SocketFailure(description: "'\(request)' was answered '\(reply)'")
        }
    }
}
