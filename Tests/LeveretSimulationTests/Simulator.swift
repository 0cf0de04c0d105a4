// Drives one core, one store and the reference model through a list of operations, and compares them after
// every input. Everything that is left to chance or to the world (when the writer runs, when reads are
// answered, what fails) is an operation, so that a script replays exactly.

import LeveretTestSupport

@testable import LeveretCore

/// One run.
final class Simulator {
    let style: Style
    let model: ReferenceModel
    var core: BrokerCore
    private let store: any SimulatedStore
    private let seed: UInt64
    private(set) var now: Int64 = 1_000_000

    private(set) var connections: [Int: ConnectionID] = [:]
    private(set) var sessions: [Int: SessionID] = [:]
    /// Events of each session that have been looked at and not drained.
    var seen: [SessionID: Int] = [:]
    var leaving: [Session] = []
    /// The message that is being cancelled or changed in this step.
    private(set) var singled: Int64?
    /// What each queue brings in of what is due, if it does, when its timer fires; in the order of the timers.
    var dueSlices: [(queue: String, numbers: [Int64])] = []
    private var nextTicket: UInt64 = 1
    var nextMessage = 1
    var numberSeen: Int64 = 0
    var insertsSeen = (batch: BatchNumber(0), count: 0)
    var goneInBatch: Set<MessageNumber>?

    private(set) var inFlight: (batch: WriteBatch, state: DurableState)?
    private var durable = DurableState()
    private var committed: BatchNumber = 0
    var loads: [LoadRequest] = []
    private(set) var answers: [LoadResult] = []
    var searches: [Search] = []
    private var findings: [(number: UInt64, what: SearchFound)] = []
    /// A hash of everything the core was seen to do.
    var outputHash: UInt64 = 0xcbf2_9ce4_8422_2325

    /// The dear comparisons of all there is come after so many operations, and whenever all is settled.
    private let comparesEvery: Int
    private var operations = 0

    init(seed: UInt64, style: Style, store: any SimulatedStore, comparesEvery: Int = 1) throws {
        self.seed = seed
        self.comparesEvery = comparesEvery
        self.style = style
        self.store = store
        model = ReferenceModel(limits: style.coreLimits)
        model.isExact = style.isExact
        core = BrokerCore(limits: style.coreLimits, seed: seed)
        core.recover(try store.reopen(), now: instant)
        durable.exchanges = model.exchanges
    }

    var instant: Instant { Instant(milliseconds: now) }

    /// True where a session is open in this slot.
    func isOpen(_ slot: Int) -> Bool { sessions[slot] != nil }

    func modelSession(_ slot: Int) -> ModelSession? { sessions[slot].flatMap { model.session($0) } }

    // MARK: - Operations

    /// Carries out one operation and everything that must follow at once.
    func perform(_ operation: Operation) throws {
        switch operation {
        case .open(let slot): try open(slot)
        case .close(let slot): try close(slot)
        case .disconnect(let connection): try disconnect(connection)
        case .call(let slot, let call): try submit(call, slot)
        case .drain(let slot): try drain(slot)
        case .advance(let milliseconds): now += milliseconds
        case .wake: try wake()
        case .work: try work()
        case .take: try take()
        case .fail: break
        case .commit: try commit()
        case .read(let index): try read(index)
        case .answer(let index): try answer(index)
        case .search(let index): try search(index)
        case .found(let index): try found(index)
        case .setAlarm(let isRaised):
            core.setAlarm(isRaised ? "the disk is full" : nil, now: instant)
            try observe { $0.isAlarmed = isRaised }
        case .settleAll: try settleAll()
        case .crash(let commits): try crash(commits: commits)
        case .restart: try restart()
        }
        if style.isExact { try settleExactly() }
        operations += 1
        guard operations % comparesEvery == 0 else { return }
        if style.isExact { try compare() }
        core.checkInvariants()
    }

    private func open(_ slot: Int) throws {
        guard sessions[slot] == nil else { return }
        let connection = slot % style.connectionCount
        let id = connections[connection] ?? core.openConnection(name: "c\(connection)", now: instant)
        connections[connection] = id
        let session = core.openSession(on: id, now: instant)
        sessions[slot] = session
        model.sessions.append(model.own(ModelSession(id: session, connection: connection)))
        try observe { _ in }
    }

    private func close(_ slot: Int) throws {
        guard let id = sessions.removeValue(forKey: slot) else { return }
        noteLeaving(id)
        core.closeSession(id, now: instant)
        seen[id] = nil
        try observe { model in
            if let session = model.session(id) { try model.closed(session) }
        }
    }

    private func disconnect(_ connection: Int) throws {
        guard let id = connections.removeValue(forKey: connection) else { return }
        for slot in sessions.keys where slot % style.connectionCount == connection {
            guard let session = sessions.removeValue(forKey: slot) else { continue }
            noteLeaving(session)
            seen[session] = nil
        }
        leaving.sort { $0.id < $1.id }
        core.closeConnection(id, now: instant)
        try observe { try $0.closed(connection: connection) }
    }

    private func noteLeaving(_ id: SessionID) {
        if let session = core.sessionsByID[id] { leaving.append(session) }
    }

    private func submit(_ call: Call, _ slot: Int) throws {
        guard let id = sessions[slot] else { return }
        // Which of two moves took a message can't be seen.
        if case .move = call, !model.moves.isEmpty { return }
        let ticket = Ticket(nextTicket)
        nextTicket += 1
        var ids: [Int] = []
        let vhost = model.session(id)?.vhost ?? "/"
        let request = request(for: call, in: vhost, ids: &ids)
        singled = call.singled
        defer { singled = nil }
        core.submit(ticket, request, from: id, now: instant)
        try observe { model in
            guard let session = model.session(id) else { return }
            try model.perform(call.placed(in: vhost), session, ticket, ids: ids)
        }
    }

    private func drain(_ slot: Int) throws {
        guard let id = sessions[slot] else { return }
        let before = core.sessionsByID[id]?.outgoing ?? []
        var events: [SessionEvent] = []
        core.drain(id, into: &events, now: instant)
        // What is being written down waits, and all behind it.
        seen[id] = max(0, (seen[id] ?? 0) - events.count)
        let waiting = before.dropFirst(events.count)
        try observe { model in
            guard let session = model.session(id) else { return }
            let taken = before.prefix(events.count)
            try model.drained(
                session, Step(taken.map { (id, $0) }, in: model).takes,
                butFor: Step(waiting.map { (id, $0) }, in: model).takes)
        }
    }

    private func wake() throws {
        guard core.nextWake <= instant else { return }
        noteDueSlices()
        defer { dueSlices = [] }
        core.timeReached(now: instant)
        try observe {
            $0.endUnused()
            try $0.endLeases()
        }
    }

    private func work() throws {
        guard core.hasMoreWork else { return }
        core.continueWork(now: instant)
        try observe { _ in }
    }

    // MARK: - The store

    private func take() throws {
        guard inFlight == nil else { return }
        let batch = core.takeBatch(now: instant)
        if let batch { inFlight = (batch, model.durableState(after: batch)) }
        try observe { _ in }
    }

    private func commit() throws {
        guard let (batch, state) = inFlight else { return }
        inFlight = nil
        let unfinished = try store.apply(batch)
        committed = batch.number
        durable = state
        try model.committed(state, try store.copies(), unfinished: unfinished)
        core.committed(batch.number, unfinished: unfinished, now: instant)
        try observe { _ in }
    }

    private func read(_ index: Int) throws {
        guard !loads.isEmpty else { return }
        let place = index % loads.count
        guard loads[place].barrier <= committed else { return }
        answers.append(try store.load(loads.remove(at: place)))
    }

    private func answer(_ index: Int) throws {
        guard !answers.isEmpty else { return }
        core.loaded(answers.remove(at: index % answers.count), now: instant)
        try observe { try $0.publishWaiting() }
    }

    private func search(_ index: Int) throws {
        guard !searches.isEmpty else { return }
        let place = index % searches.count
        guard searches[place].barrier <= committed else { return }
        let search = searches.remove(at: place)
        findings.append((search.number, try store.search(search)))
    }

    private func found(_ index: Int) throws {
        guard !findings.isEmpty else { return }
        let found = findings.remove(at: index % findings.count)
        core.searched(found.number, .success(found.what), now: instant)
        try observe { _ in }
    }

    private func crash(commits: Bool) throws {
        if commits, let (batch, state) = inFlight {
            let unfinished = try store.apply(batch)
            durable = state
            try model.committed(state, try store.copies(), unfinished: unfinished)
        }
        let left = try store.copies()
        let recovered = try store.reopen()
        let found = try store.copies()
        try model.require(
            found == left.map { $0.recovered }, "a restart found \(found) where \(left) had been left")
        connections = [:]
        sessions = [:]
        seen = [:]
        leaving = []
        inFlight = nil
        loads = []
        answers = []
        searches = []
        findings = []
        committed = 0
        numberSeen = recovered.nextNumber.rawValue - 1
        insertsSeen = (0, 0)
        now += 1
        core = BrokerCore(limits: style.coreLimits, seed: seed)
        core.recover(recovered, now: instant)
        model.now = now
        model.isCounted = { _ in true }
        try model.restarted(from: durable, recovered, found)
        try model.require(
            recovered.nextNumber.rawValue > durable.highestNumber, "message numbers begin again after a crash"
        )
        try observe { _ in }
    }

    private func restart() throws {
        for connection in connections.keys.sorted() { try disconnect(connection) }
        try settleAll()
        try crash(commits: true)
    }

    // MARK: - Settling

    /// Serves what the core waits for until it waits for nothing that the store or time can give.
    private func settleExactly() throws {
        for _ in 0..<100_000 {
            if core.nextWake <= instant {
                try wake()
            } else if core.hasMoreWork {
                try work()
            } else if !answers.isEmpty {
                try answer(0)
            } else if let place = loads.firstIndex(where: { $0.barrier <= committed }) {
                try read(place)
            } else if !findings.isEmpty {
                try found(0)
            } else if let place = searches.firstIndex(where: { $0.barrier <= committed }) {
                try search(place)
            } else if !loads.isEmpty || !searches.isEmpty {
                if inFlight == nil { try take() }
                try model.require(inFlight != nil, "a read waits for a batch that never comes: \(loads)")
                try commit()
            } else {
                return try model.checkDead()
            }
        }
        throw Violation("the core never comes to rest")
    }

    private func settleAll() throws {
        for _ in 0..<100_000 {
            if core.nextWake <= instant {
                try wake()
            } else if core.hasMoreWork, core.hasRoomForWork {
                try work()
            } else if !answers.isEmpty {
                try answer(0)
            } else if inFlight != nil {
                try commit()
            } else if !findings.isEmpty {
                try found(0)
            } else if core.commitWish != .none
                || !(loads.isEmpty && searches.isEmpty) && loads.allSatisfy({ $0.barrier > committed })
                    && searches.allSatisfy({ $0.barrier > committed })
            {
                try take()
                try model.require(
                    inFlight != nil || core.commitWish == .none, "a batch was wished for and there is none")
            } else if let place = loads.firstIndex(where: { $0.barrier <= committed }) {
                try read(place)
            } else if let place = searches.firstIndex(where: { $0.barrier <= committed }) {
                try search(place)
            } else if let slot = sessions.keys.sorted().first(where: {
                seen[sessions[$0] ?? SessionID(0)] ?? 0 > 0
            }) {
                try drain(slot)
            } else {
                try model.require(!core.hasMoreWork, "long work stands still though nothing is committed")
                try compare()
                return try compareAtRest()
            }
        }
        throw Violation("the core never comes to rest")
    }
}
