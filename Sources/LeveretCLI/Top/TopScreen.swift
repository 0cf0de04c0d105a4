// What `top` draws: lines of a screen of any size, at least 20 columns and 5 rows to be of use. Pure: the model in,
// lines out. TopTerminal sends what has changed of them.

/// A line of the screen.
struct TopLine: Equatable {
    /// How the whole line looks.
    enum Style {
        case plain, bold, reversed
    }

    var text: String
    var style = Style.plain

    init(_ text: String, _ style: Style = .plain) {
        self.text = text
        self.style = style
    }
}

extension TopModel {
    /// The screen: as many lines as it has rows, none longer than it is wide.
    var screen: [TopLine] {
        var lines: [TopLine]
        switch view {
        case .list: lines = head + [TopLine(listTitle, .bold)] + listLines
        case .queue, .peek, .help:
            let body = Array(wrapped.dropFirst(scrolled).prefix(viewRows))
            lines = [TopLine(viewTitle, .bold)] + body
        }
        lines = Array(lines.prefix(max(0, size.rows - 1)))
        lines += Array(repeating: TopLine(""), count: max(0, size.rows - 1 - lines.count))
        lines.append(TopLine(bottom, question == nil ? .plain : .reversed))
        return lines.map { TopLine($0.text.clipped(to: size.columns), $0.style) }
    }

    // MARK: - The list

    /// What stands above the list: less of it on a small screen.
    private var head: [TopLine] {
        var lines: [TopLine] = []
        if size.rows >= 8 {
            let uptime = status["uptime"]?.int.map { "up " + Quantity.duration(seconds: $0 / 1000) } ?? ""
            let version = status["version"]?.text ?? ""
            lines.append(TopLine("leveret \(version)  \(server)  \(uptime)"))
        }
        let notes = notes
        if size.rows >= 4, notes.isEmpty || size.rows >= 6 { lines.append(TopLine(totalsLine)) }
        if size.rows >= 4, let first = notes.first { lines.append(TopLine(first, .bold)) }
        return lines
    }

    /// What is wrong: the connection, and the server's alarms.
    private var notes: [String] {
        var alarms: [String] = []
        if case .array(let values)? = status["alarms"] { alarms = values.compactMap { $0.text?.printable } }
        return (problem.map { [$0.printable] } ?? []) + alarms
    }

    private var totalsLine: String {
        let comes = Quantity.rate(status["in_rate"]?.double ?? 0)
        let goes = Quantity.rate(status["out_rate"]?.double ?? 0)
        var parts = [
            "ready \(Quantity.count(status.count("ready")))", "in \(comes)/s", "out \(goes)/s",
            "unacked \(Quantity.count(status.count("unacked")))",
            "delayed \(Quantity.count(status.count("delayed")))",
        ]
        if size.columns >= 100 {
            parts[1] += " " + Self.sparkline(totals.incoming, columns: 12)
            parts[2] += " " + Self.sparkline(totals.outgoing, columns: 12)
        }
        if let memory = status["resident_bytes"]?.int { parts.append("memory \(Quantity.bytes(memory))") }
        if let free = status["disk_free_bytes"]?.int { parts.append("disk free \(Quantity.bytes(free))") }
        return parts.joined(separator: "  ")
    }

    /// Rows that the list has on the screen.
    var listRows: Int { max(0, size.rows - 2 - head.count) }

    /// A column of the list: a narrow screen has the first of these, in the order of `rank`.
    private struct Field: Sendable {
        var title: String
        var width: Int
        var rank: Int
        var cell: @Sendable (Queue, History?) -> String
    }

    private static let fieldsOfList: [Field] = [
        Field(title: "ready", width: 9, rank: 0) { queue, _ in Quantity.count(queue.ready) },
        Field(title: "unacked", width: 8, rank: 3) { queue, _ in Quantity.count(queue.unacked) },
        Field(title: "delayed", width: 8, rank: 5) { queue, _ in Quantity.count(queue.delayed) },
        Field(title: "cons", width: 5, rank: 4) { queue, _ in Quantity.count(queue.consumers) },
        Field(title: "in/s", width: 8, rank: 1) { queue, _ in Quantity.rate(queue.incoming) },
        Field(title: "", width: 12, rank: 6) { _, history in sparkline(history?.incoming ?? [], columns: 12)
        },
        Field(title: "out/s", width: 8, rank: 2) { queue, _ in Quantity.rate(queue.outgoing) },
        Field(title: "", width: 12, rank: 7) { _, history in sparkline(history?.outgoing ?? [], columns: 12)
        },
    ]

    /// The columns that fit beside the names, and how wide these are.
    private var chosenFields: (fields: [Field], nameWidth: Int) {
        let least = size.columns < 40 ? 8 : 20
        var width = size.columns
        var ranks: Set<Int> = []
        for field in Self.fieldsOfList.sorted(by: { $0.rank < $1.rank }) {
            guard width - field.width - 1 >= least else { break }
            width -= field.width + 1
            ranks.insert(field.rank)
        }
        return (Self.fieldsOfList.filter { ranks.contains($0.rank) }, max(1, width))
    }

    private var listTitle: String {
        let (fields, width) = chosenFields
        let arrow = isReversed ? "▲" : "▼"
        func title(_ text: String) -> String { text == sort.rawValue ? text + arrow : text }
        let name = sort == .name ? "name" + arrow : "name"
        return name.padded(to: width, right: false)
            + fields.map { " " + title($0.title).padded(to: $0.width, right: true) }.joined()
    }

    private var listLines: [TopLine] {
        let (fields, width) = chosenFields
        if queues.isEmpty {
            return [
                TopLine(filter.isEmpty ? "there are no queues" : "no queue's name has '\(filter.printable)'")
            ]
        }
        return queues.indices.dropFirst(firstShown).prefix(listRows).map { index in
            let queue = queues[index]
            let history = histories[queue.name]
            let name = (queue.name.printable + (queue.isPaused ? " (paused)" : "")).clipped(to: width)
            let cells = fields.map { " " + $0.cell(queue, history).padded(to: $0.width, right: true) }
            return TopLine(
                name.padded(to: width, right: false) + cells.joined(), index == selected ? .reversed : .plain)
        }
    }

    private var bottom: String {
        if let question {
            return "\(question.isPause ? "pause" : "resume") queue '\(question.queue.printable)'? [y/N]"
        }
        if isTyping { return "/\(filter.printable)_" }
        if let message { return message.printable }
        if view != .list, let problem { return problem.printable }
        switch view {
        case .list:
            let matching =
                filter.isEmpty ? "" : " of \(Quantity.count(queuesInAll)) with '\(filter.printable)'"
            // The totals are those of the whole server.
            let others = status.count("queues") - queuesInAll
            let elsewhere = others > 0 ? ", \(Quantity.count(others)) in other virtual hosts" : ""
            return "\(counted(queues.count, "queue"))\(matching)\(elsewhere)  ? help  q quit"
        case .queue: return "p pause or resume  v peek  Esc back  ? help  q quit"
        case .peek, .help: return "Esc back  q quit"
        }
    }

    /// The last of these as so many blocks, the highest being the largest.
    static func sparkline(_ values: [Float], columns: Int) -> String {
        let blocks = Array("▁▂▃▄▅▆▇█")
        let shown = values.suffix(columns)
        let most = shown.max() ?? 0
        let bars = shown.map { value -> Character in
            guard most > 0, most.isFinite, value > 0 else { return blocks[0] }
            return blocks[min(blocks.count - 1, Int(value / most * Float(blocks.count - 1) + 0.5))]
        }
        return String(bars)
    }
}
