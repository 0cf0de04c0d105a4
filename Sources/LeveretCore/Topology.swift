// Exchanges, bindings and the names of queues: everything that decides where a message goes. Each virtual
// host has one, and BrokerCore asks it for every publish (Topology+Route), declaration (Topology+Declare) and binding
// (Topology+Bind). It knows queues by name and slot only, never their messages.

/// Where BrokerCore keeps a queue; not below 0.
struct QueueSlot: Hashable, Sendable {
    var rawValue: Int32

    init(_ rawValue: Int32) { self.rawValue = rawValue }
}

/// The queues that a message goes to, each once. One object serves all messages that go the same way.
final class Route: Sendable {
    let queues: [QueueSlot]

    init(_ queues: [QueueSlot]) { self.queues = queues }
}

/// What went with a queue, an exchange or a binding.
struct TopologyRemoval {
    /// Bindings that are gone, oldest first within each step.
    var bindings: [Binding] = []
    /// Exchanges that are gone: the one that was to be deleted, then those that deleted themselves.
    var exchanges: [ExchangeDefinition] = []

    var isEmpty: Bool { bindings.isEmpty && exchanges.isEmpty }
}

/// An exchange, its bindings, its counters and the routes it remembers. An object, so that the publish path
/// copies nothing.
final class ExchangeState {
    /// How many routing keys an exchange remembers; when full it forgets them all.
    static let routesMax = 16_384

    let definition: ExchangeDefinition
    let isDefault: Bool
    /// What counts: the arguments, and what policies add and limit.
    private(set) var settings: ExchangeSettings
    /// The arguments that count.
    private(set) var arguments: FieldTable
    /// The policies that count for it.
    var policy: Policy?
    var operatorPolicy: Policy?
    var table: BindingTable
    @exclusivity(unchecked) var published = 0
    var unroutable = 0
    /// The route of every message, where no exchange on the way looks at keys or headers.
    var routeForAll: Route?
    /// Routes by key, where no exchange on the way looks at headers.
    var routesByKey: [ByteKey: Route] = [:]
    /// The `linkedGeneration` for which the routes hold, if other exchanges have a part in them.
    var routesGeneration: UInt64 = 0

    init(_ definition: ExchangeDefinition) {
        self.definition = definition
        isDefault = definition.name == .default
        // One that is no longer allowed must not cost the exchange: it goes on without.
        settings = (try? ExchangeSettings(definition)) ?? ExchangeSettings()
        arguments = definition.arguments
        table = BindingTable(definition.routingType)
    }

    var alternate: ExchangeName? { settings.alternate }

    /// Other settings count from now on.
    func obey(_ arguments: FieldTable, _ settings: ExchangeSettings) {
        self.arguments = arguments
        self.settings = settings
        forgetRoutes()
    }

    /// True where other exchanges may have a part in its routes.
    var isLinked: Bool { alternate != nil || table.exchangeTargets > 0 }

    func forgetRoutes() {
        routeForAll = nil
        if !routesByKey.isEmpty { routesByKey = [:] }
    }
}

/// The exchanges, bindings and queue names of a virtual host. Copies share their exchanges: keep one.
struct Topology {
    struct QueueEntry {
        let slot: QueueSlot
        /// The way of a message that goes to this queue alone.
        let route: Route
    }

    struct BindingRecord {
        let binding: Binding
        let source: Int
        let destination: Destination
    }

    /// Whose it is, for the texts of errors.
    let vhost: VirtualHostName
    /// The default exchange's place in `states`.
    static let defaultIndex = 0

    /// By index; `nil` where an exchange was deleted.
    var states: ContiguousArray<ExchangeState?> = []
    var freeIndexes: [Int] = []
    var indexes: [ExchangeName: Int] = [:]
    var queues: [QueueName: QueueEntry] = [:]
    /// The same in the order of listings: queues and exchanges by name, bindings as they were made.
    var queueOrder = SortedRuns<QueueName>()
    var exchangeOrder = SortedRuns<ExchangeName>()
    var bindingOrder = SortedRuns<Int>()

    /// Bindings by id, and ids by binding in its canonical form.
    var records: [Int: BindingRecord] = [:]
    var ids: [Binding: Int] = [:]
    var idsByTarget: [BindingTarget: Set<Int>] = [:]
    var nextID = 0

    /// Raised by every change of exchanges, bindings and queues: a route that was found before may be wrong.
    var generation: UInt64 = 0
    /// Raised when exchanges or bindings change; routes that cross several exchanges hold for one value.
    var linkedGeneration: UInt64 = 0

    /// The exchange that was published to last, to spare the look-up.
    var lastState: ExchangeState?
    let nowhere = Route([])
    /// The queue that was published to last through the default exchange, while `generation` stays.
    var lastKey = ""
    var lastGeneration = UInt64.max
    var lastRoute: Route

    /// A topology with the predeclared exchanges and no queues.
    init(of vhost: VirtualHostName) {
        self.vhost = vhost
        lastRoute = nowhere
        install(ExchangeDefinition(.default))
        install(ExchangeDefinition("amq.direct"))
        install(ExchangeDefinition("amq.fanout", type: .fanout))
        install(ExchangeDefinition("amq.topic", type: .topic))
        install(ExchangeDefinition("amq.headers", type: .headers))
        install(ExchangeDefinition("amq.match", type: .headers))
    }

    /// The exchange as it was declared.
    func exchange(_ name: ExchangeName) -> ExchangeDefinition? {
        indexes[name].flatMap { states[$0]?.definition }
    }

    /// The exchange with what counts for it.
    func state(of name: ExchangeName) -> ExchangeState? { indexes[name].flatMap { states[$0] } }

    /// The ways of messages may be others now.
    mutating func forgetRoutes() {
        generation += 1
        linkedGeneration += 1
    }

    /// Where BrokerCore keeps the queue.
    func slot(of name: QueueName) -> QueueSlot? { queues[name]?.slot }

    /// How many exchanges there are, the predeclared ones among them.
    var exchangeCount: Int { indexes.count }

    /// An exchange with its counters.
    func exchangeInfo(_ name: ExchangeName) -> ExchangeInfo? {
        guard let index = indexes[name], let state = states[index] else { return nil }
        var info = ExchangeInfo(
            definition: state.definition,
            bindings: name == .default ? queues.count : state.table.ids.count,
            published: state.published, unroutable: state.unroutable)
        info.explain(state.policy, state.operatorPolicy)
        return info
    }

    /// Makes a queue known. Its name must not be.
    mutating func addQueue(_ name: QueueName, slot: QueueSlot) {
        queues[name] = QueueEntry(slot: slot, route: Route([slot]))
        queueOrder.insert(name)
        generation += 1
    }

    /// Forgets a queue with its bindings, and auto-delete exchanges that lose their last one.
    mutating func removeQueue(_ name: QueueName) -> TopologyRemoval {
        guard queues.removeValue(forKey: name) != nil else { return TopologyRemoval() }
        queueOrder.remove(name)
        generation += 1
        var removal = TopologyRemoval()
        removeBindings(to: .queue(name), into: &removal)
        return removal
    }

    /// Puts an exchange in whose name is free.
    mutating func install(_ definition: ExchangeDefinition) {
        let state = ExchangeState(definition)
        exchangeOrder.insert(definition.name)
        if let index = freeIndexes.popLast() {
            states[index] = state
            indexes[definition.name] = index
        } else {
            indexes[definition.name] = states.count
            states.append(state)
        }
        generation += 1
        linkedGeneration += 1
    }
}
