// What `doctor` looks at: rows of every listing, and the few questions whose answers no listing has. It judges
// nothing: DoctorRules does.

/// Everything that the rules look at, of one virtual host. Rows are those of docs/line-protocol.md.
struct DoctorFacts {
    /// A message that a consumer holds.
    struct Held: Equatable {
        var queue: String
        var position: Int
        var holder: String
        /// Milliseconds since 1970.
        var since: Int64
    }

    /// What stands before names where several virtual hosts are looked at: `shop/`, or nothing.
    var prefix = ""
    /// It can't be looked at, and nothing is known of it.
    var unseen: UnseenHost?
    /// The server's.
    var status: JSON = .object([])
    var queues: [JSON] = []
    var exchanges: [JSON] = []
    var bindings: [BindingRow] = []
    var consumers: [JSON] = []
    /// Of queues with unacked messages, the one that is held for the longest.
    var held: [Held] = []
    /// The queues that a dead letter reaches on each way that was asked for.
    var ways: [DeadLetterWay: Set<String>] = [:]
    /// Where dead letters come to rest, once the rules look.
    var deadLetterMap = DeadLetterMap(queues: [], bindings: [])
    /// This machine's clock, in milliseconds since 1970.
    var localNow: Int64 = 0
    /// False for a file, which knows no consumers and no rates.
    var isLive = true

    /// The server's time.
    var now: Int64 { status.time("now") ?? localNow }

    /// What is asked of each queue: all but what says the same once more.
    private static let fields = Columns.queues.map(\.name).filter { !["arguments", "origins"].contains($0) }
    /// Queues that are asked one by one who holds what, and ways that are asked for.
    private static let questionsMax = 200

    /// Asks a source for all of it.
    ///
    /// - Parameter named: The virtual host that is meant; `nil` is all.
    static func gather(from source: any Source, of named: String?, isLive: Bool) throws -> [DoctorFacts] {
        var server = DoctorFacts()
        server.isLive = isLive
        server.status = try source.status()
        server.localNow = Terminal.now
        var hosts: [DoctorFacts] = []
        var (queuesLeft, waysLeft) = (questionsMax, questionsMax)
        let unseen = try source.visit(named) { host, prefix in
            var facts = server
            facts.prefix = prefix
            try host.queues(match: nil, fields: Self.fields) { facts.queues.append($0) }
            try host.exchanges(match: nil) { facts.exchanges.append($0) }
            try host.bindings { if let binding = BindingRow($0) { facts.bindings.append(binding) } }
            try host.consumers(match: nil) { facts.consumers.append($0) }
            for queue in facts.queues.filter({ $0.count("unacked") > 0 }).prefix(queuesLeft) {
                queuesLeft -= 1
                if let held = try longestHeld(in: queue.name, host) { facts.held.append(held) }
            }
            facts.ways = try host.deadLetterWays(
                of: facts.queues, bindings: facts.bindings, countMax: waysLeft)
            waysLeft -= facts.ways.count
            hosts.append(facts)
        }
        for host in unseen {
            var facts = server
            facts.unseen = host
            hosts.append(facts)
        }
        return hosts
    }

    private static func longestHeld(in queue: String, _ source: any Source) throws -> Held? {
        var held: Held?
        let peek = PeekRequest(
            queue: queue, count: PeekRequest.countMax, from: 0, state: .unacked, condition: nil,
            hasBodies: false)
        let look = {
            try source.messages(peek) { row in
                guard let since = row.time("held_since"), since < held?.since ?? .max else { return }
                held = Held(
                    queue: queue, position: row.count("position"), holder: row["held_by"]?.text ?? "",
                    since: since)
            }
        }
        // Who may not read a queue is not told, and sees all else.
        try source.unlessRefused { try source.unlessGone(look) }
        return held
    }
}
