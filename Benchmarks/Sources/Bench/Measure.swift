// What is measured: a case is a name and a function that returns figures; the runner calls every case a few
// times, round by round, so that a disturbance hits one round and not one case, and keeps the medians.

/// What a figure should reach.
enum Target {
    case atLeast(Double)
    case atMost(Double)

    func isMet(by value: Double) -> Bool {
        switch self {
        case .atLeast(let bound): value >= bound
        case .atMost(let bound): value <= bound
        }
    }
}

/// One figure of one round.
struct Figure {
    var name: String
    var value: Double
    var unit: String
    var target: Target?

    init(_ name: String, _ value: Double, _ unit: String, _ target: Target? = nil) {
        self.name = name
        self.value = value
        self.unit = unit
        self.target = target
    }

    /// Value and unit.
    var text: String { "\(Results.text(value)) \(unit)" }

    /// A rate of messages.
    static func rate(_ name: String, _ count: Int, in seconds: Double, _ target: Double? = nil) -> Figure {
        Figure(name, Double(count) / seconds, "msg/s", target.map { .atLeast($0) })
    }
}

/// A benchmark by name.
struct Case: Sendable {
    var name: String
    /// Takes so long to set up that one round must do.
    var isLong: Bool
    var run: @Sendable (Workbench) async throws -> [Figure]

    init(
        _ name: String, isLong: Bool = false, _ run: @escaping @Sendable (Workbench) async throws -> [Figure]
    ) {
        self.name = name
        self.isLong = isLong
        self.run = run
    }
}

/// A case could not be measured.
struct BenchmarkFailure: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}

/// The figures of all rounds.
struct Results {
    private var order: [String] = []
    private var figures: [String: Figure] = [:]
    private var values: [String: [Double]] = [:]

    mutating func add(_ found: [Figure], of name: String) {
        for figure in found {
            let key = "\(name): \(figure.name)"
            if figures[key] == nil { order.append(key) }
            figures[key] = figure
            values[key, default: []].append(figure.value)
        }
    }

    /// A Markdown table of medians, with the least and the most.
    func table() -> String {
        var rows = [["case", "median", "min – max", "unit", "target", ""]]
        for key in order {
            guard let figure = figures[key], let all = values[key]?.sorted() else { continue }
            let median = all[all.count / 2]
            var target = ""
            var verdict = ""
            if let wanted = figure.target {
                switch wanted {
                case .atLeast(let bound): target = "≥ \(Self.text(bound))"
                case .atMost(let bound): target = "≤ \(Self.text(bound))"
                }
                verdict = wanted.isMet(by: median) ? "met" : "missed"
            }
            let span = "\(Self.text(all.first ?? median)) – \(Self.text(all.last ?? median))"
            rows.append([key, Self.text(median), span, figure.unit, target, verdict])
        }
        let widths = (0..<6).map { column in rows.map { $0[column].count }.max() ?? 0 }
        var lines = rows.map { row in
            let cells = row.enumerated().map { index, cell in
                let padding = String(repeating: " ", count: widths[index] - cell.count)
                return index == 1 || index == 2 ? padding + cell : cell + padding
            }
            return "| " + cells.joined(separator: " | ") + " |"
        }
        lines.insert(
            "|" + widths.map { String(repeating: "-", count: $0 + 2) }.joined(separator: "|") + "|", at: 1)
        return lines.joined(separator: "\n")
    }

    /// Three digits that matter, thousands apart.
    static func text(_ value: Double) -> String {
        if value < 0 { return "-" + text(-value) }
        if value < 1_000 {
            let digits = value < 10 ? 2 : value < 100 ? 1 : 0
            var scale = 1.0
            for _ in 0..<digits { scale *= 10 }
            let scaled = Int((value * scale).rounded())
            guard digits > 0 else { return "\(scaled)" }
            let (whole, part) = scaled.quotientAndRemainder(dividingBy: Int(scale))
            let fraction = String(repeating: "0", count: digits - "\(part)".count) + "\(part)"
            return "\(whole).\(fraction)"
        }
        var rest = "\(Int(value.rounded()))"
        var groups: [String] = []
        while rest.count > 3 {
            groups.insert(String(rest.suffix(3)), at: 0)
            rest.removeLast(3)
        }
        return ([rest] + groups).joined(separator: ",")
    }
}
