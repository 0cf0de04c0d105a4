// The other screens of `top`: one queue, its messages, and the keys. Pure.

extension TopModel {
    /// Lines between the title and the last.
    var viewRows: Int { max(0, size.rows - 2) }

    /// How far the view can be scrolled.
    var scrolledMax: Int { view == .list ? 0 : max(0, wrapped.count - viewRows) }

    /// The title of what is shown.
    var viewTitle: String {
        switch view {
        case .list: ""
        case .queue(let name): "queue '\(name.printable)'" + (subject?.isPaused == true ? " (paused)" : "")
        case .peek(let name): "the first messages of queue '\(name.printable)'"
        case .help: "keys"
        }
    }

    /// All lines of the view, none longer than the screen is wide.
    var wrapped: [TopLine] {
        viewLines.flatMap { line in
            Self.wrap(line.text, columns: size.columns).map { TopLine($0, line.style) }
        }
    }

    private var viewLines: [TopLine] {
        switch view {
        case .list: []
        case .queue(let name): queueLines(name)
        case .peek: messageLines
        case .help: Self.helpLines
        }
    }

    private func queueLines(_ name: String) -> [TopLine] {
        guard let queue = subject else { return [TopLine("…")] }
        let history = histories[name]
        var lines = [
            TopLine(
                "ready \(Quantity.count(queue.ready))  unacked \(Quantity.count(queue.unacked))  "
                    + "delayed \(Quantity.count(queue.delayed))"),
            TopLine(
                "in  \(Quantity.rate(queue.incoming))/s \(Self.sparkline(history?.incoming ?? [], columns: 40))"
            ),
            TopLine(
                "out \(Quantity.rate(queue.outgoing))/s \(Self.sparkline(history?.outgoing ?? [], columns: 40))"
            ),
            TopLine(""), TopLine("why", .bold),
        ]
        lines += detail.reasons.map { TopLine($0.printable) }
        if let oldest = detail.messages.first {
            lines += [TopLine(""), TopLine("oldest", .bold), line(of: oldest)]
        }
        lines += [TopLine(""), TopLine("consumers", .bold)]
        if detail.consumers.isEmpty { lines.append(TopLine("none")) }
        lines += detail.consumers.map { row in
            let prefetch = row.count("prefetch")
            let holds =
                "holds \(Quantity.count(row.count("unacked")))" + (prefetch > 0 ? " of \(prefetch)" : "")
            let state = row["active"] == .bool(false) ? ", stands by" : ""
            return TopLine(
                "\(row.name.printable)  \(holds)\(state)  \((row["session"]?.text ?? "").printable)")
        }
        return lines
    }

    private var messageLines: [TopLine] {
        detail.messages.isEmpty ? [TopLine("nothing is ready")] : detail.messages.map(line)
    }

    /// `12  3m 5s ago  order.paid  120 B  {"total":20}`.
    private func line(of message: JSON) -> TopLine {
        let age = message.time("entered").map { Quantity.age(milliseconds: now - $0) } ?? ""
        let body = message["body"]?.text ?? message["body64"]?.text ?? ""
        let parts = [
            String(message.count("position")), age, message["key"]?.text ?? "",
            Quantity.bytes(message.count("size")), body,
        ]
        return TopLine(parts.joined(separator: "  ").printable.clipped(to: size.columns))
    }

    private static let helpLines = [
        "↑ ↓ j k  the queue above or below", "PgUp PgDn g G  a page, the first, the last",
        "Enter  look into a queue: why, its oldest message, its consumers", "v  peek: its first messages",
        "p  pause it, or let it go on", "s  sort by the next column", "r  the other way round",
        "/  only queues whose names have a text; Esc shows all", "Esc  back", "q Ctrl-C  quit",
    ].map { TopLine($0) }

    /// A text in lines of at most so many columns, cut between words where that can be.
    static func wrap(_ text: String, columns: Int) -> [String] {
        guard text.columns > columns, columns > 0 else { return [text] }
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ", omittingEmptySubsequences: false) {
            var word = String(word)
            if !line.isEmpty, line.columns + 1 + word.columns > columns {
                lines.append(line)
                line = ""
            }
            while word.columns > columns {
                var piece = ""
                while let first = word.first, (piece + String(first)).columns <= columns {
                    piece.append(first)
                    word.removeFirst()
                }
                if piece.isEmpty { return lines + [word] }  // a wide letter on the narrowest of screens
                lines.append(piece)
            }
            line += line.isEmpty ? word : " " + word
        }
        return lines + [line]
    }
}
