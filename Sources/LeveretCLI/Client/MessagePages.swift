// All messages of a queue that meet a condition, page by page: what `grep`, `dead` and a long `peek` go through. A page
// is one PEEK. Where a search runs out of its time, the rest is searched in stretches of positions.

/// Pages of messages in one state, in order of delivery; in stretches, stretch by stretch.
struct MessagePages {
    /// Asks for one page.
    typealias Look = (PeekRequest, (JSON) throws -> Void) throws -> Void

    private let source: any Source
    private let look: Look
    private let queue: String
    private let state: PeekState
    private let hasBodies: Bool
    private let condition: String?
    /// Conditions that part the queue, for PEEK pages one of its priorities at a time.
    private var levels: ArraySlice<Level>
    /// Only messages at these positions.
    private var positions = 0..<Int.max
    /// How many positions a stretch has, once one is needed.
    private var stretch: Int?
    /// The highest position there was when that began.
    private var lastPosition = Int.max
    /// The first position that counts.
    private let first: Int
    /// Where each stretch of the priority at hand begins: at `first`, or behind what was shown before.
    private var start: (from: Int, behind: String?)
    /// Where the next page begins: a place, or a position.
    private var from: Int
    /// Behind which message the next page begins, where messages come in order of due times.
    private var behind: String?
    /// The positions of the page before: a message that was delayed when it was published stands further behind
    /// than its position says, and may come twice.
    private var before: Set<Int> = []

    /// Messages of `queue` in `state`, not `all`.
    ///
    /// - Parameters:
    ///   - condition: What the user gave; it is tried alone first, so that its errors name the right place.
    ///   - more: A condition of the command's own.
    ///   - from: The first position that counts.
    ///   - last: Only what comes behind this message, which a PEEK from there has shown.
    ///   - look: What is asked for a page; PEEK unless told.
    /// - Throws: `Failure` where there is no such queue, or the condition is refused.
    init(
        of queue: String, state: PeekState, where condition: String?, and more: String? = nil,
        hasBodies: Bool = true, from: Int = 0, behind last: JSON? = nil, in source: any Source,
        by look: Look? = nil
    ) throws {
        self.source = source
        self.look = look ?? { try source.peek($0, each: $1) }
        self.queue = queue
        self.state = state
        self.hasBodies = hasBodies
        self.condition = SQLText.all([condition, more])
        (first, self.from) = (from, from)
        start = (from, nil)
        levels = try Self.levels(of: queue, state, in: source)[...]
        if let condition, more != nil {
            let probe = PeekRequest(
                queue: queue, count: 1, from: .max, state: .ready, condition: condition, hasBodies: false)
            try source.peek(probe) { _ in }
        }
        guard let last else { return }
        let priority = last["priority"]?.int ?? 0
        levels = levels.drop { $0.least > priority }
        try advance(behind: last)
        start = (self.from, behind)
    }

    /// The next messages, at least one; `nil` when there are no more.
    mutating func next() throws -> [JSON]? {
        while let level = levels.first {
            var rows: [JSON] = []
            var bytes = 0
            do {
                try look(request(level.condition)) { row in
                    rows.append(row)
                    bytes = bytes.adding(row["size"]?.int ?? 0)
                }
            } catch let failure as Failure where failure.isSearchTooLong {
                try narrow(failure)
                continue
            }
            let fresh = rows.filter { !before.contains($0.position) }
            before = Set(rows.map(\.position))
            let isFull = rows.count == PeekRequest.countMax || (hasBodies && bytes >= PeekRequest.bytesMax)
            if isFull, let last = rows.last, !fresh.isEmpty {
                try advance(behind: last)
            } else {
                endStretch()
            }
            if !fresh.isEmpty { return fresh }
        }
        return nil
    }

    private func request(_ level: String?) -> PeekRequest {
        var terms = [condition, level, behind]
        if positions.lowerBound > 0 { terms.append("position >= \(positions.lowerBound)") }
        if positions.upperBound < .max { terms.append("position < \(positions.upperBound)") }
        return PeekRequest(
            queue: queue, count: PeekRequest.countMax, from: max(from, positions.lowerBound), state: state,
            // A search pages by place everywhere, and sees everything.
            condition: SQLText.all(terms) ?? "1", hasBodies: hasBodies)
    }

    /// Goes on behind the last message of a full page.
    private mutating func advance(behind last: JSON) throws {
        let position = last.position
        switch state {
        case .delayed:
            let due = SQLText.literal(last["due"]?.text ?? "")
            behind = "due > \(due) OR (due = \(due) AND position > \(position))"
        case .ready: from = try source.place(behind: last, from: from)
        case .unacked, .all: from = max(from, position.adding(1))
        }
    }

    /// Goes on with the next stretch, or the next priority.
    private mutating func endStretch() {
        if let stretch, positions.upperBound <= lastPosition, positions.upperBound < .max {
            positions = positions.upperBound..<positions.upperBound.adding(stretch)
        } else {
            positions = 0..<(stretch ?? .max)
            levels = levels.dropFirst()
            start = (first, nil)
        }
        (from, behind) = start
    }

    /// Takes a shorter stretch.
    private mutating func narrow(_ failure: Failure) throws {
        if let stretch {
            guard stretch >= 1000 else { throw failure }
            self.stretch = stretch / 4
        } else {
            try source.query("SELECT max(id) AS top FROM message") { lastPosition = $0["top"]?.int ?? 0 }
            stretch = max(1000, lastPosition / 8)
        }
        let width = stretch ?? 1000
        positions = positions.lowerBound..<positions.lowerBound.adding(width)
    }

    /// The messages of a queue that have some priority.
    private struct Level {
        /// `nil` is all.
        var condition: String?
        /// The least priority that one of them may have.
        var least: Int
    }

    /// Parts a queue of several priorities, the highest first; any other queue is one part.
    private static func levels(
        of queue: String, _ state: PeekState, in source: any Source
    ) throws -> [Level] {
        let whole = [Level(condition: nil, least: 0)]
        guard state == .ready else { return whole }
        let row = try source.queue(queue)
        guard let most = row["arguments"]?["x-max-priority"]?.int, (1...255).contains(most) else {
            return whole
        }
        let between = (1..<most).reversed().map { Level(condition: "priority = \($0)", least: $0) }
        return [Level(condition: "priority >= \(most)", least: most)] + between
            + [Level(condition: "coalesce(priority, 0) = 0", least: 0)]
    }
}

extension Source {
    /// From which place a PEEK of ready messages that began at `from` goes on behind the last one it showed.
    func place(behind last: JSON, from: Int) throws -> Int {
        var place = max(last.position, from)
        // What was delayed when it was published stands further behind than its position says.
        if last["headers"]?["x-delay"] != nil {
            try query("SELECT place FROM message WHERE id = \(last.position)") { row in
                place = max(place, row["place"]?.int ?? 0)
            }
        }
        return place.adding(1)
    }
}
