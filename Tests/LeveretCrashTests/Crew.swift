// All clients of one server, driven by one thread: those of the queues that are always there, and those of the
// drawn ones.

import LeveretTestSupport

/// All that was promised.
struct Books {
    /// Of messages.
    var journal: Journal
    /// Of queues, bindings and policies.
    var definitions = DefinitionJournal()
    /// Of pauses.
    var pauses = PauseJournal()
    /// The next number of each lane, and at the end that of the transactions.
    var nextSequences: [Int]
    /// What was confirmed in `once`, and must be known again.
    var seen: [Int] = []
    /// Where the publishers of drawn queues are.
    var published: [String: PublisherState] = [:]
}

/// Who works on a drawn queue.
struct DrawnCrew {
    let queue: DrawnQueue
    let publisher: DrawnPublisher
    let consumers: [DrawnConsumer]
    let editor: Editor

    /// A crew on a server that has just started.
    init(port: UInt16, queue: DrawnQueue, _ books: inout Books) throws {
        self.queue = queue
        let state = books.published[queue.name] ?? PublisherState()
        publisher = try DrawnPublisher(port: port, queue: queue, state: state, &books.journal)
        consumers = try (0..<2).map { _ in try DrawnConsumer(port: port, queue: queue) }
        consumers[0].partner = consumers[1]
        consumers[1].partner = consumers[0]
        editor = try Editor(port: port, queue: queue)
    }

    var sockets: [LineSocket] { [publisher.socket, editor.socket] + consumers.map(\.socket) }

    func work(_ books: inout Books, using chance: inout Chance) -> Int {
        var answers = publisher.takeReplies(&books.journal)
        publisher.publish(&books.journal, using: &chance)
        for consumer in consumers {
            answers += consumer.takeReplies(
                &books.journal, isDead: false, isPaused: books.pauses.still.contains(queue.name),
                using: &chance)
        }
        return answers + editor.work(&books.journal, using: &chance)
    }

    func takeLast(_ books: inout Books, using chance: inout Chance) {
        _ = publisher.takeReplies(&books.journal)
        books.published[queue.name] = publisher.end()
        for consumer in consumers {
            _ = consumer.takeReplies(
                &books.journal, isDead: true, isPaused: books.pauses.still.contains(queue.name),
                using: &chance)
        }
        editor.takeReplies(&books.journal)
    }
}

/// Who works on a server.
struct Crew {
    private let lanes: [Lane]
    private let publishers: [Publisher]
    private let workers: [Worker]
    private let mover: Mover
    private let purger: Purger
    private let declarer: Declarer
    private let transactor: Transactor
    private let pauser: Operator
    private let drawn: [DrawnCrew]
    /// The connections of all.
    let sockets: [LineSocket]

    /// A crew on a server that has just started.
    init(port: UInt16, lanes: [Lane], drawn queues: [DrawnQueue], _ books: inout Books) throws {
        self.lanes = lanes
        publishers = try lanes.map {
            try Publisher(
                port: port, request: $0.request, groups: $0.groups,
                doubles: $0.groups == ["once"] ? books.seen : nil)
        }
        workers = try Self.makeWorkers(port)
        mover = try Mover(port: port, from: "stock", to: "shelf")
        purger = try Purger(port: port, queue: "waste")
        declarer = try Declarer(port: port)
        transactor = try Transactor(port: port, pair: ("pair.a", "pair.b"))
        pauser = try Operator(port: port, queues: queues)
        var crews: [DrawnCrew] = []
        for queue in queues { crews.append(try DrawnCrew(port: port, queue: queue, &books)) }
        drawn = crews
        sockets =
            publishers.map(\.socket) + workers.map(\.socket) + crews.flatMap(\.sockets)
            + [mover.socket, purger.socket, declarer.socket, transactor.socket, pauser.socket]
    }

    private static func makeWorkers(_ port: UInt16) throws -> [Worker] {
        [
            try Worker(port: port, queue: "orders") { $0 % 5 == 0 ? .reject : $0 % 97 == 0 ? .hold : .ack },
            try Worker(port: port, queue: "orders.dead") { $0 % 2 == 0 ? .ack : .hold },
            try Worker(port: port, queue: "retry") { $0 % 3 == 0 ? .requeue : .ack },
            try Worker(port: port, queue: "tasks") {
                $0 % 11 == 0
                    ? .requeue : $0 % 3 == 0 ? .ack : .forward(to: "tasks.done", receipt: "receipts")
            },
            try Worker(port: port, queue: "copy.a") { $0 % 10 == 9 ? .ackAllHeld : .hold },
        ]
    }

    /// Takes in what was answered and asks for more. Returns how many answers came, and how many of them to chores.
    func work(_ books: inout Books, using chance: inout Chance) -> (answers: Int, chores: Int) {
        var answers = 0
        for (index, publisher) in publishers.enumerated() {
            answers += publisher.takeReplies(&books.journal)
            publisher.publish(&books.journal, next: &books.nextSequences[index], using: &chance)
        }
        for worker in workers { answers += worker.takeReplies(&books.journal, isDead: false) }
        let chores =
            mover.work(&books.journal, using: &chance) + purger.work(&books.journal, using: &chance)
        answers += declarer.work(&books.journal, &books.definitions, using: &chance)
        answers += transactor.work(
            &books.journal, next: &books.nextSequences[lanes.count], using: &chance)
        answers += pauser.work(&books.journal, &books.pauses, using: &chance)
        for crew in drawn { answers += crew.work(&books, using: &chance) }
        return (answers, chores)
    }

    /// The server is dead. What it had said before still counts.
    func takeLast(_ books: inout Books, using chance: inout Chance) {
        while sockets.contains(where: \.isOpen) {
            for socket in sockets { socket.exchange() }
        }
        for (lane, publisher) in zip(lanes, publishers) {
            _ = publisher.takeReplies(&books.journal)
            if lane.groups == ["once"] { books.seen = Array((books.seen + publisher.confirmed).suffix(100)) }
        }
        for worker in workers { _ = worker.takeReplies(&books.journal, isDead: true) }
        mover.takeReplies(&books.journal)
        purger.takeReplies(&books.journal)
        declarer.takeReplies(&books.journal, &books.definitions)
        transactor.takeReplies(&books.journal)
        pauser.takeReplies(&books.journal, &books.pauses)
        for crew in drawn { crew.takeLast(&books, using: &chance) }
        books.journal.crashed()
    }
}
