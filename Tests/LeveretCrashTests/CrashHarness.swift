// One database file, and the servers that live and die on it: load, kill -9, SQLite's own check, and what a
// successor holds against what the journal says it must hold. CrashHarness+Drawn.swift has what is special to the
// drawn queues.

import Foundation
import LeveretTestSupport

/// What is published, and which groups it reaches.
struct Lane: Sendable {
    /// `PUB exchange key`.
    var request: String
    /// Each publish reaches all of them.
    var groups: [String]
}

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
        QueueGroup(source: "receipts"),
        QueueGroup(source: "stock", dead: "shelf", keepsOrder: true),
        QueueGroup(source: "waste"),
        QueueGroup(source: "mist", isTransient: true),
        QueueGroup(source: "once", options: "deduplicate=3600000"),
        QueueGroup(source: "copy.a"),
        QueueGroup(source: "copy.b"),
        QueueGroup(source: "pair.a"),
        QueueGroup(source: "pair.b"),
    ]
    private static let lanes = [
        Lane(request: "PUB \"\" orders", groups: ["orders"]),
        Lane(request: "PUB \"\" retry", groups: ["retry"]),
        Lane(request: "PUB \"\" notices", groups: ["notices"]),
        Lane(request: "PUB \"\" limited", groups: ["limited"]),
        Lane(request: "PUB \"\" tasks", groups: ["tasks"]),
        Lane(request: "PUB \"\" stock", groups: ["stock"]),
        Lane(request: "PUB \"\" waste", groups: ["waste"]),
        Lane(request: "PUB \"\" mist transient", groups: ["mist"]),
        Lane(request: "PUB \"\" once", groups: ["once"]),
        Lane(request: "PUB copies \"\"", groups: ["copy.a", "copy.b"]),
    ]

    private let database: String
    private var chance: Chance
    /// The queues with features, and how often they were drawn anew.
    var drawn: [DrawnQueue]
    private var generation = 0
    private var isDrawnAnew = true
    /// What the server says of the arguments and policies that count, by drawn queue.
    var effective: [String: String] = [:]
    /// How often each message of a drawn queue must have failed after the next start, by position.
    var failedAtCrash: [Int: Int] = [:]
    /// How many messages the file had of each drawn queue and its dead letters.
    var countAtCrash: [String: Int] = [:]
    /// What was promised over all rounds.
    var books: Books

    /// Rounds on the file at `database`, with the chance of `seed`.
    init(database: String, seed: UInt64) {
        self.database = database
        chance = Chance(seed: seed)
        drawn = DrawnQueue.draw(generation: 0, using: &chance)
        let journal = Journal(
            Self.groups + drawn.map(\.group), twins: [("copy.a", "copy.b"), ("pair.a", "pair.b")],
            receipts: ("tasks.done", "receipts"))
        books = Books(journal: journal, nextSequences: Array(repeating: 0, count: Self.lanes.count + 1))
    }

    /// Starts a server, loads it, kills it at a moment of chance, and checks what its successor holds.
    mutating func run(round: Int, isLast: Bool) throws {
        let server = try ServerProcess(database: database)
        let socket = try LineSocket(port: server.port)
        try declare(socket)
        try checkStart(socket)
        // Now and then at once, mostly anywhere within the first thousands of answers.
        let atOnce = chance.next(below: 8) == 0
        let answersMax = atOnce ? 0 : chance.next(below: 1 << (6 + chance.next(below: 8)))
        try load(server, answersMax: answersMax)
        guard books.journal.failures.isEmpty else {
            return books.journal.fail("that was round \(round); \(server.program.errorText)")
        }
        try checkFile()
        // Some rounds go on with what the crash left, so that backlogs meet several crashes.
        if isLast || chance.next(below: 3) != 0 { try checkContents() }
    }

    private mutating func declare(_ socket: LineSocket) throws {
        for group in Self.groups + (isDrawnAnew ? drawn.map(\.group) : []) {
            for queue in group.queues {
                try socket.expectOK("QUEUE \(queue) \(queue == group.source ? group.options : "")")
            }
        }
        if isDrawnAnew { for queue in drawn { try setPolicy(socket, of: queue) } }
        isDrawnAnew = false
        try socket.expectOK("EXCHANGE copies fanout")
        try socket.expectOK("EXCHANGE \(DefinitionJournal.exchange) direct")
        for queue in ["copy.a", "copy.b"] { try socket.expectOK("BIND \(queue) copies") }
    }

    private mutating func load(_ server: ServerProcess, answersMax: Int) throws {
        let crew = try Crew(port: server.port, lanes: Self.lanes, drawn: drawn, &books)
        var answers = 0
        // Few and far between, so the moment also waits for some of them.
        let choresMin = answersMax == 0 ? 0 : chance.next(below: 10)
        var chores = 0
        while answers < answersMax || chores < choresMin, books.journal.failures.isEmpty {
            let done = crew.work(&books, using: &chance)
            answers += done.answers + done.chores
            chores += done.chores
            for socket in crew.sockets { socket.exchange() }
            guard crew.sockets.allSatisfy(\.isOpen) else {
                books.journal.fail("the server closed a connection")
                break
            }
            try LineSocket.wait(for: crew.sockets)
            for socket in crew.sockets { socket.exchange() }
        }
        server.crash()
        crew.takeLast(&books, using: &chance)
    }

    /// Asks SQLite about a copy of the files, so that the next server meets them as the crash left them.
    private mutating func checkFile() throws {
        let folder = try TemporaryFolder()
        for ending in ["", "-wal"] where FileManager.default.fileExists(atPath: database + ending) {
            try FileManager.default.copyItem(
                atPath: database + ending, toPath: folder.path("copy.db" + ending))
        }
        let question = "pragma integrity_check; pragma foreign_key_check"
        let result = try Program("/usr/bin/env", ["sqlite3", folder.path("copy.db"), question]).finish()
        if result.output != "ok\n" {
            books.journal.fail("integrity_check: \(result.output)\(result.errors)")
        }
        func list(_ query: String) throws -> Set<String> {
            let result = try Program("/usr/bin/env", ["sqlite3", folder.path("copy.db"), query]).finish()
            return Set(result.output.split(separator: "\n").map(String.init))
        }
        let bound = "select target from binding where source = '\(DefinitionJournal.exchange)'"
        books.definitions.compare(
            queues: try list("select name from queue where name like 'made.%'"), bound: try list(bound),
            policies: try list("select name from policy where name like 'made.%'"), &books.journal
        )
        try checkDrawn(list)
    }

    /// Takes everything out of every queue of a fresh server and compares it with the journal.
    private mutating func checkContents() throws {
        let server = try ServerProcess(database: database)
        let socket = try LineSocket(port: server.port)
        try checkStart(socket)
        // Notices expire by themselves; the rest stands still.
        while try socket.ready(Self.notices.source, Self.notices.options) > 0 {}
        var contents: [(queue: String, messages: [Found])] = []
        for group in Self.groups {
            for queue in group.queues {
                let options = queue == group.source ? group.options : ""
                contents.append((queue, try take(socket, queue, options)))
            }
        }
        for queue in drawn {
            let messages = try takeDrawn(socket, queue)
            contents.append((queue.name, messages))
            contents.append(("\(queue.name).dead", try takeDead(socket, of: queue, besides: messages)))
        }
        books.journal.compare(with: contents)
        try checkDoubles(socket, contents, isHeld: true)
        let keys = contents.flatMap { content in
            content.messages.map { books.journal.key(content.queue, $0.sequence) }
        }
        for key in keys { books.journal.ackSent(key) }
        if !keys.isEmpty { try socket.expectOK("ACK 0 multiple") }
        for key in keys { books.journal.ackAnswered(key) }
        try checkDoubles(socket, contents, isHeld: false)
        if chance.next(below: 2) == 0 { try drawAnew(socket) }
        server.crash()
    }

    /// Drops the drawn queues, for others to come.
    private mutating func drawAnew(_ socket: LineSocket) throws {
        for queue in drawn {
            if !queue.policy.isEmpty { try socket.expectOK("DROP policy \(queue.name)") }
            for name in queue.group.queues { try socket.expectOK("DROP queue \(name)") }
            books.journal.remove(queue.group)
        }
        generation += 1
        drawn = DrawnQueue.draw(generation: generation, using: &chance)
        for queue in drawn { books.journal.add(queue.group) }
        isDrawnAnew = true
    }

    /// Gets all messages of a queue, as many as it says.
    mutating func take(
        _ socket: LineSocket, _ queue: String, _ options: String
    ) throws -> [Found] {
        let count = try socket.ready(queue, options)
        let messages = try socket.take(queue, count: count)
        // What a crash left past the delivery limit, or over the queue's length, dies as soon as it is read.
        let mayDie = options.contains("delivery-limit=") || options.contains("max-length=")
        if messages.count != count, !mayDie || messages.count > count {
            books.journal.fail("\(queue) says ready=\(count), gave \(messages.count)")
        }
        return messages
    }
}
