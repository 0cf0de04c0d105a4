// Where dead letters come to rest, as far as rows of queues and bindings tell, and the server where it is asked.
// `check` counts what waits there, and `doctor` leaves such queues alone.

import LeveretCore

/// Where a dead letter goes first.
struct DeadLetterWay: Hashable {
    var exchange: String
    var key: String
}

extension DeadLetterWay {
    /// The way that a queue's row tells of; `nil` where it has none, or where each message keeps its key.
    init?(_ queue: JSON) {
        guard let exchange = queue.deadLetterExchange, let key = queue.deadLetterKey else { return nil }
        (self.exchange, self.key) = (exchange, key)
    }
}

extension Source {
    /// Which queues a message reaches on the first `countMax` ways of these queues, as far as the user may know; not of
    /// those through an exchange some of whose `bindings` look at headers, which nobody knows before.
    func deadLetterWays(
        of queues: [JSON], bindings: [BindingRow], countMax: Int = .max
    ) throws -> [DeadLetterWay: Set<String>] {
        let byHeaders = Set(bindings.filter(\.hasArguments).map(\.source))
        var reached: [DeadLetterWay: Set<String>] = [:]
        for way in Set(queues.compactMap { DeadLetterWay($0) }).prefix(countMax) {
            try unlessRefused {
                var found: Set<String> = []
                var passed: Set = [way.exchange]
                let isThere = try unlessGone {
                    try route(exchange: way.exchange, key: way.key, headers: []) { row in
                        let destination = row["destination"]?.text ?? ""
                        if row["destination_type"]?.text == "queue" {
                            found.insert(destination)
                        } else {
                            passed.insert(destination)
                        }
                    }
                }
                if isThere, passed.isDisjoint(with: byHeaders) { reached[way] = found }
            }
        }
        return reached
    }
}

/// Which queues take the dead letters of which.
struct DeadLetterMap {
    /// Where the broker puts what can't be dead-lettered.
    static let parkingQueue = QueueName.parked.rawValue

    /// The queues that dead letters of a queue go to, by its name.
    private(set) var targets: [String: Set<String>] = [:]
    /// Queues that dead letters lead to and that have no way on: there they wait for somebody.
    private(set) var ends: Set<String> = []

    /// The map of these queues (rows of LIST queues with `name` and `effective`) and bindings.
    ///
    /// Where dead letters keep their own keys, or go by headers, every queue behind the dead-letter exchange counts as
    /// a target.
    ///
    /// - Parameter ways: what `deadLetterWays` has found.
    init(queues: [JSON], bindings: [BindingRow], ways: [DeadLetterWay: Set<String>] = [:]) {
        let names = Set(queues.compactMap { $0["name"]?.text })
        var reached: [String: Set<String>] = [:]
        for queue in queues {
            guard let name = queue["name"]?.text, let exchange = queue.deadLetterExchange else { continue }
            if exchange.isEmpty {
                if let key = queue.deadLetterKey, names.contains(key) { targets[name] = [key] }
                continue
            }
            if let found = DeadLetterWay(queue).flatMap({ ways[$0] }) {
                targets[name] = found
                continue
            }
            if reached[exchange] == nil {
                let behind = BindingRow.choose(bindings, from: exchange, to: nil)
                reached[exchange] = Set(behind.filter(\.isQueue).map(\.destination))
            }
            targets[name] = reached[exchange]
        }
        let onward = Set(queues.filter { $0.deadLetterExchange != nil }.compactMap { $0["name"]?.text })
        ends = targets.values.reduce(into: Set()) { $0.formUnion($1) }.subtracting(onward)
        if names.contains(Self.parkingQueue) { ends.insert(Self.parkingQueue) }
    }

    /// Where dead letters of these queues wait; of all with `nil`.
    func ends(of queues: Set<String>?) -> Set<String> {
        guard let queues else { return ends }
        let led = queues.reduce(into: queues) { $0.formUnion(targets[$1] ?? []) }
        return ends.intersection(led)
    }
}
