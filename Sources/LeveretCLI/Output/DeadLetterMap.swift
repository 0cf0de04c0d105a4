// Where dead letters come to rest, as far as rows of queues and bindings tell. `check` counts what waits there, and
// `doctor` leaves such queues alone. Pure.

import LeveretCore

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
    /// Where dead letters keep their own keys, every queue behind the dead-letter exchange counts as a target.
    init(queues: [JSON], bindings: [BindingRow]) {
        let names = Set(queues.compactMap { $0["name"]?.text })
        var reached: [String: Set<String>] = [:]
        for queue in queues {
            guard let name = queue["name"]?.text, let exchange = queue.deadLetterExchange else { continue }
            if exchange.isEmpty {
                if let key = queue.deadLetterKey, names.contains(key) { targets[name] = [key] }
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
