// `top` without a terminal and a server: what is known, what is looked at, and what keys do. TopScreen draws it, and
// TopCommand drives it. Pure.

/// Everything that `top` shows.
struct TopModel {
    /// What is on the screen.
    enum View: Equatable {
        case list
        case queue(String)
        case peek(String)
        case help
    }

    /// What a key asks of the outside.
    enum Action: Equatable {
        case quit
        /// What is shown now is to be asked for at once.
        case refresh
        case pause(String)
        case resume(String)
    }

    /// By what queues are sorted; all but names from the largest.
    enum Sort: String, CaseIterable {
        case ready, unacked, delayed, consumers
        case incoming = "in/s"
        case outgoing = "out/s"
        case name
    }

    /// A queue in the list.
    struct Queue: Equatable {
        var name: String
        var ready = 0
        var unacked = 0
        var delayed = 0
        var consumers = 0
        var incoming = 0.0
        var outgoing = 0.0
        var isPaused = false

        /// The queue that a row tells of.
        init(_ row: JSON) {
            name = row.name
            ready = row.count("ready")
            unacked = row.count("unacked")
            delayed = row.count("delayed")
            consumers = row.count("consumers")
            incoming = row["in_rate"]?.double ?? 0
            outgoing = row["out_rate"]?.double ?? 0
            isPaused = row["paused_since"]?.text != nil
        }
    }

    /// The rates of the last while, oldest first.
    struct History: Equatable {
        static let countMax = 60
        private(set) var incoming: [Float] = []
        private(set) var outgoing: [Float] = []

        /// True where nothing has moved for the whole time.
        var isStill: Bool { incoming.allSatisfy { $0 == 0 } && outgoing.allSatisfy { $0 == 0 } }

        mutating func add(_ incoming: Double, _ outgoing: Double) {
            if self.incoming.count == Self.countMax {
                self.incoming.removeFirst()
                self.outgoing.removeFirst()
            }
            self.incoming.append(Float(incoming))
            self.outgoing.append(Float(outgoing))
        }
    }

    /// What is known of the queue that is looked at.
    struct Detail: Equatable {
        var row: JSON = .null
        var reasons: [String] = []
        var consumers: [JSON] = []
        var messages: [JSON] = []
    }

    /// Columns and rows of the screen.
    var size = (columns: 80, rows: 24)
    /// Whom it asks, for the title.
    var server = ""
    /// The server's time, in milliseconds since 1970.
    var now: Int64 = 0
    private(set) var view = View.list
    private(set) var status: JSON = .object([])
    /// Why nothing new comes; `nil` while it does.
    private(set) var problem: String?
    /// The queues that match the filter, in order.
    private(set) var queues: [Queue] = []
    private(set) var queuesInAll = 0
    private(set) var histories: [String: History] = [:]
    private(set) var totals = History()
    private(set) var sort = Sort.ready
    private(set) var isReversed = false
    private(set) var filter = ""
    private(set) var isTyping = false
    /// A queue to be paused, or to go on, once it is confirmed.
    private(set) var question: (queue: String, isPause: Bool)?
    /// What was done last, until the next key.
    private(set) var message: String?
    /// The index of the selected queue, and that of the first that is shown.
    private(set) var selected = 0
    private(set) var firstShown = 0
    /// Lines that are scrolled away in the other views.
    private(set) var scrolled = 0
    private(set) var detail = Detail()
    private var all: [Queue] = []
    /// Where a view of its own goes back to.
    private var before = View.list

    // MARK: - News

    /// The fields that the list needs.
    static let fields = [
        "name", "ready", "unacked", "delayed", "consumers", "in_rate", "out_rate", "paused_since",
    ]

    /// The server has said how everything is.
    mutating func listed(_ rows: [JSON], status: JSON) {
        problem = nil
        told(status)
        all = rows.map { Queue($0) }
        for queue in all {
            let isStill = queue.incoming == 0 && queue.outgoing == 0
            if isStill, histories[queue.name] == nil { continue }
            histories[queue.name, default: History()].add(queue.incoming, queue.outgoing)
        }
        if histories.count > 0 {
            let names = Set(all.map(\.name))
            histories = histories.filter { names.contains($0.key) && !$0.value.isStill }
        }
        arrange()
    }

    /// The server has said how the queue is that is looked at.
    mutating func looked(at detail: Detail, status: JSON) {
        problem = nil
        told(status)
        self.detail = detail
        let queue = Queue(detail.row)
        if !queue.name.isEmpty {
            histories[queue.name, default: History()].add(queue.incoming, queue.outgoing)
        }
    }

    private mutating func told(_ status: JSON) {
        self.status = status
        now = status.time("now") ?? now
        totals.add(status["in_rate"]?.double ?? 0, status["out_rate"]?.double ?? 0)
    }

    /// The server doesn't answer; what was known stays on the screen.
    mutating func lost(_ text: String) { problem = text }

    /// What was asked for has been done, or not.
    mutating func done(_ text: String) { message = text }

    /// The queue that is looked at is gone.
    mutating func vanished(_ text: String) {
        view = .list
        message = text
    }

    // MARK: - Keys

    /// Does what a key means.
    mutating func pressed(_ key: TerminalKey) -> Action? {
        message = nil
        if [.interrupt, .control("d"), .gone].contains(key) { return .quit }
        if let question {
            self.question = nil
            if key == .character("y") || key == .character("Y") {
                return question.isPause ? .pause(question.queue) : .resume(question.queue)
            }
            message = "not done"
            return nil
        }
        if isTyping {
            typed(key)
            return nil
        }
        switch key {
        case .character("q"): return .quit
        case .character("?"):
            if view != .help { before = view }
            show(view == .help ? before : .help)
            return nil
        case .character("p"): ask()
        case .character("v"): return open(View.peek)
        default:
            if view == .list { return pressedInList(key) }
            return pressedInView(key)
        }
        return nil
    }

    private mutating func pressedInList(_ key: TerminalKey) -> Action? {
        let page = max(1, listRows)
        switch key {
        case .up, .character("k"): select(selected - 1)
        case .down, .character("j"): select(selected + 1)
        case .pageUp: select(selected - page)
        case .pageDown, .character(" "): select(selected + page)
        case .home, .character("g"): select(0)
        case .end, .character("G"): select(queues.count - 1)
        case .enter: return open(View.queue)
        case .character("/"): isTyping = true
        case .escape:
            filter = ""
            arrange()
        case .character("s"):
            let sorts = Sort.allCases
            sort = sorts[((sorts.firstIndex(of: sort) ?? 0) + 1) % sorts.count]
            arrange()
        case .character("r"):
            isReversed.toggle()
            arrange()
        default: break
        }
        return nil
    }

    private mutating func pressedInView(_ key: TerminalKey) -> Action? {
        let page = max(1, size.rows - 3)
        switch key {
        case .up, .character("k"): scroll(to: scrolled - 1)
        case .down, .character("j"): scroll(to: scrolled + 1)
        case .pageUp: scroll(to: scrolled - page)
        case .pageDown, .character(" "): scroll(to: scrolled + page)
        case .home, .character("g"): scroll(to: 0)
        case .end, .character("G"): scroll(to: .max)
        case .escape, .backspace:
            switch view {
            case .help: show(before)
            case .peek(let queue): show(.queue(queue))
            case .queue, .list: show(.list)
            }
            return .refresh
        default: break
        }
        return nil
    }

    private mutating func typed(_ key: TerminalKey) {
        switch key {
        case .character(let character): filter.append(character)
        case .backspace: _ = filter.popLast()
        case .enter: isTyping = false
        case .escape:
            isTyping = false
            filter = ""
        default: return
        }
        arrange()
    }

    /// The queue that keys are about.
    var subject: Queue? {
        switch view {
        case .list, .help: queues.indices.contains(selected) ? queues[selected] : nil
        case .queue(let name), .peek(let name): detail.row.name == name ? Queue(detail.row) : nil
        }
    }

    private mutating func ask() {
        if let subject { question = (subject.name, !subject.isPaused) }
    }

    private mutating func open(_ kind: (String) -> View) -> Action? {
        guard let subject else { return nil }
        if detail.row.name != subject.name { detail = Detail() }
        show(kind(subject.name))
        return .refresh
    }

    private mutating func show(_ view: View) {
        self.view = view
        scrolled = 0
    }

    // MARK: - Order

    private mutating func select(_ index: Int) {
        selected = max(0, min(index, queues.count - 1))
        keepInSight()
    }

    private mutating func scroll(to line: Int) { scrolled = max(0, min(line, scrolledMax)) }

    /// Filters and sorts; the selected queue stays selected where it is still there.
    private mutating func arrange() {
        let name = queues.indices.contains(selected) ? queues[selected].name : nil
        queuesInAll = all.count
        let wanted = filter.lowercased()
        let matching = wanted.isEmpty ? all : all.filter { $0.name.lowercased().contains(wanted) }
        queues = matching.sorted { a, b in
            let (x, y) = isReversed ? (b, a) : (a, b)
            let (first, second) = (value(of: x), value(of: y))
            return first == second ? (sort == .name ? x.name < y.name : a.name < b.name) : first > second
        }
        if let name, selected != 0, let index = queues.firstIndex(where: { $0.name == name }) {
            selected = index
        }
        selected = max(0, min(selected, queues.count - 1))
        keepInSight()
    }

    private func value(of queue: Queue) -> Double {
        switch sort {
        case .ready: Double(queue.ready)
        case .unacked: Double(queue.unacked)
        case .delayed: Double(queue.delayed)
        case .consumers: Double(queue.consumers)
        case .incoming: queue.incoming
        case .outgoing: queue.outgoing
        case .name: 0
        }
    }

    /// Scrolls the list so that the selected queue is in it.
    mutating func keepInSight() {
        let rows = max(1, listRows)
        if selected < firstShown { firstShown = selected }
        if selected >= firstShown + rows { firstShown = selected - rows + 1 }
        firstShown = max(0, min(firstShown, queues.count - rows))
        scrolled = min(scrolled, scrolledMax)
    }
}
