// All messages of a queue that meet a condition, page by page: what `grep`, `dead` and a long `peek` go through. A page
// is one PEEK, and none is the last but an empty one: the server ends a page early where messages are large. Where a
// search runs out of its time, the rest is searched in stretches of positions.

/// Pages of messages in one state, in order of delivery; in stretches, stretch by stretch.
struct MessagePages {
    /// Asks for one page.
    typealias Look = (PeekRequest, (JSON) throws -> Void) throws -> Void

    private let source: any Source
    private let look: Look
    private let queue: String
    private let state: PeekState
    private let hasBodies: Bool
    /// Messages in one page.
    private let pageMax: Int
    private let condition: String?
    /// Conditions that part the queue, for PEEK pages one of its priorities at a time.
    private var levels: ArraySlice<Level>
    /// Only messages at these positions.
    private var positions = 0..<Int.max
    /// How many positions a stretch has, once one is needed.
    private var stretch: Int?
    /// Behind which position there was none when that began.
    private var lastPosition = Int.max
    /// The first position that counts.
    private let first: Int
    /// Where each stretch of the priority at hand begins: at `first`, or behind what was shown before.
    private var start: (from: Int, behind: String?)
    /// Where the next page begins: a place, or a position.
    private var from: Int
    /// Behind which message the next page begins, where messages come in order of due times.
    private var behind: String?

    /// Messages of `queue` in `state`, not `all`.
    ///
    /// - Parameters:
    ///   - condition: What the user gave; it is tried alone first, so that its errors name the right place.
    ///   - more: A condition of the command's own.
    ///   - from: The first position that counts.
    ///   - last: Only what comes behind this message, which a PEEK from there has shown.
    ///   - pageMax: No more messages are asked for at a time.
    ///   - look: What is asked for a page; PEEK unless told.
    /// - Throws: `Failure` where there is no such queue, or the condition is refused.
    init(
        of queue: String, state: PeekState, where condition: String?, and more: String? = nil,
        hasBodies: Bool = true, from: Int = 0, behind last: JSON? = nil,
        pageMax: Int = PeekRequest.countMax, in source: any Source, by look: Look? = nil
    ) throws {
        self.source = source
        self.look = look ?? { try source.peek($0, each: $1) }
        self.queue = queue
        self.state = state
        self.hasBodies = hasBodies
        self.pageMax = min(pageMax, PeekRequest.countMax)
        self.condition = SQLText.all([condition, more])
        (first, self.from) = (from, from)
        start = (from, nil)
        levels = try Self.levels(of: queue, state, in: source)[...]
        if let condition, more != nil { try source.check(condition, on: queue) }
        guard let last else { return }
        let priority = last["priority"]?.int ?? 0
        levels = levels.drop { $0.least > priority }
        advance(behind: last)
        start = (self.from, behind)
    }

    /// Hands over the next messages, at most `count`.
    mutating func next(_ count: Int, each: (JSON) throws -> Void) throws {
        var left = count
        while left > 0, let messages = try next() {
            for message in messages.prefix(left) { try each(message) }
            left -= min(left, messages.count)
        }
    }

    /// The next messages, at least one; `nil` when there are no more.
    mutating func next() throws -> [JSON]? {
        while let level = levels.first {
            var rows: [JSON] = []
            do {
                try look(request(level.condition)) { rows.append($0) }
            } catch let failure as Failure where failure.isSearchTooLong {
                try narrow(failure)
                continue
            }
            if let last = rows.last {
                advance(behind: last)
                return rows
            }
            endStretch()
        }
        return nil
    }

    private func request(_ level: String?) -> PeekRequest {
        var terms = [condition, level, behind]
        if positions.lowerBound > 0 { terms.append("position >= \(positions.lowerBound)") }
        if positions.upperBound < .max { terms.append("position < \(positions.upperBound)") }
        return PeekRequest(
            queue: queue, count: pageMax, from: max(from, positions.lowerBound), state: state,
            // A search pages by place everywhere, and sees everything.
            condition: SQLText.all(terms) ?? "1", hasBodies: hasBodies)
    }

    /// Goes on behind the last message of a page.
    private mutating func advance(behind last: JSON) {
        let position = last.position
        switch state {
        case .delayed:
            let due = SQLText.literal(last["due"]?.text ?? "")
            behind = "due > \(due) OR (due = \(due) AND position > \(position))"
        // What was delayed when it was published stands further behind than its position says.
        case .ready: from = max(from, last["place"]?.int ?? position).adding(1)
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
            lastPosition = try end()
            stretch = max(1000, lastPosition / 8)
        }
        let width = stretch ?? 1000
        positions = positions.lowerBound..<positions.lowerBound.adding(width)
    }

    /// A position behind which there is none, no more than twice as far as the last one.
    private func end() throws -> Int {
        var end = 8000
        var isBehind = false
        while !isBehind {
            isBehind = true
            let probe = PeekRequest(
                queue: queue, count: 1, from: end, state: state, condition: nil, hasBodies: false)
            try source.peek(probe) { _ in isBehind = false }
            if !isBehind { end = end.adding(end) }
        }
        return end
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
    /// Shows as many messages as `request` is for, however often that must be asked for; state by state.
    func messages(_ request: PeekRequest, each: (JSON) throws -> Void) throws {
        var left = request.count
        for state in request.state.parts where left > 0 {
            var last: JSON?
            func take(_ message: JSON) throws {
                left -= 1
                last = message
                try each(message)
            }
            var first = request
            (first.state, first.count) = (state, min(left, PeekRequest.countMax))
            try peek(first, each: take)
            guard left > 0, let last else { continue }
            var pages = try MessagePages(
                of: request.queue, state: state, where: request.condition, hasBodies: request.hasBodies,
                from: request.from, behind: last, pageMax: left, in: self)
            try pages.next(left, each: take)
        }
    }

    /// Fails where a condition is wrong.
    func check(_ condition: String, on queue: String) throws {
        let probe = PeekRequest(
            queue: queue, count: 1, from: .max, state: .ready, condition: condition, hasBodies: false)
        try peek(probe) { _ in }
    }
}
