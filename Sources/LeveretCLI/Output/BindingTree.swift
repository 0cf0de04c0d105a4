// Bindings as a tree of exchanges and queues, and as a picture for Graphviz. Pure: rows in, text out.

/// One binding.
struct BindingRow: Equatable {
    var source: String
    var destination: String
    /// The destination is a queue, else an exchange.
    var isQueue: Bool
    /// Its pattern and headers, for people; empty where it has neither.
    var label: String
    /// As it was listed.
    var row: JSON

    /// The binding that a row of LIST bindings tells of.
    init?(_ row: JSON) {
        guard let source = row["source"]?.text, let destination = row["destination"]?.text else { return nil }
        self.source = source
        self.destination = destination
        self.row = row
        isQueue = row["destination_type"]?.text == "queue"
        let pattern = row["pattern"]?.text ?? ""
        let arguments = row["arguments"].flatMap { $0 == .object([]) ? nil : $0.compact }
        label =
            [pattern.isEmpty ? nil : pattern, arguments].compactMap { $0 }.joined(separator: " ").printable
    }

    /// It looks at more than keys.
    var hasArguments: Bool { ![nil, .null, .object([])].contains(row["arguments"]) }

    /// Those on a way that begins at `exchange` and ends at `queue`; `nil` is anywhere.
    static func choose(_ bindings: [BindingRow], from exchange: String?, to queue: String?) -> [BindingRow] {
        var chosen = bindings
        if let exchange {
            let bySource = Dictionary(grouping: chosen, by: \.source)
            let reached = walk(from: exchange) {
                (bySource[$0] ?? []).filter { !$0.isQueue }.map(\.destination)
            }
            chosen = chosen.filter { reached.contains($0.source) }
        }
        if let queue {
            let last = chosen.filter { $0.isQueue && $0.destination == queue }
            let byTarget = Dictionary(grouping: chosen.filter { !$0.isQueue }, by: \.destination)
            var reached: Set<String> = []
            for binding in last where !reached.contains(binding.source) {
                reached.formUnion(walk(from: binding.source) { (byTarget[$0] ?? []).map(\.source) })
            }
            chosen = chosen.filter {
                $0.isQueue ? $0.destination == queue : reached.contains($0.destination)
            }
        }
        return chosen
    }

    private static func walk(from start: String, _ next: (String) -> [String]) -> Set<String> {
        var reached: Set<String> = [start]
        var open = [start]
        while let name = open.popLast() {
            for other in next(name) where reached.insert(other).inserted { open.append(other) }
        }
        return reached
    }
}

/// Bindings as a tree.
enum BindingTree {
    /// A line for each exchange that nothing leads to, and below it what it hands on.
    static func lines(_ bindings: [BindingRow]) -> [String] {
        let bySource = Dictionary(grouping: bindings, by: \.source)
        let targets = Set(bindings.filter { !$0.isQueue }.map(\.destination))
        var lines: [String] = []
        var shown: Set<String> = []
        func add(_ exchange: String) {
            guard !shown.contains(exchange) else { return }
            lines.append(exchange.printable)
            expand(exchange, bySource, indent: "", shown: &shown, into: &lines)
        }
        let sources = bySource.keys.sorted()
        for exchange in sources where !targets.contains(exchange) { add(exchange) }
        // What is left is bound in a circle.
        for exchange in sources { add(exchange) }
        return lines
    }

    /// Ways may be as long as there are exchanges, so what waits stands in a list and not on the stack.
    private static func expand(
        _ exchange: String, _ bySource: [String: [BindingRow]], indent: String, shown: inout Set<String>,
        into lines: inout [String]
    ) {
        struct Waiting {
            var binding: BindingRow
            var indent: String
            var isLast: Bool
        }
        func waiting(below exchange: String, indent: String) -> [Waiting] {
            let bindings = bySource[exchange] ?? []
            return bindings.enumerated().reversed().map { index, binding in
                Waiting(binding: binding, indent: indent, isLast: index == bindings.count - 1)
            }
        }
        shown.insert(exchange)
        var open = waiting(below: exchange, indent: indent)
        while let next = open.popLast() {
            let binding = next.binding
            let label = binding.label.isEmpty ? "" : "\(binding.label) "
            var line = "\(next.indent)\(next.isLast ? "└─" : "├─") \(label)→ \(binding.destination.printable)"
            if !binding.isQueue {
                let isNew = shown.insert(binding.destination).inserted
                line += isNew ? " (exchange)" : " (exchange, see above)"
                if isNew {
                    let inner = next.indent + (next.isLast ? "   " : "│  ")
                    open += waiting(below: binding.destination, indent: inner)
                }
            }
            lines.append(line)
        }
    }
}

/// Bindings as a picture.
enum BindingPicture {
    /// In the language of Graphviz: exchanges round, queues square.
    static func dot(_ bindings: [BindingRow]) -> String {
        var nodes: [String] = []
        var known: Set<String> = []
        func node(_ name: String, isQueue: Bool) -> String {
            let id = quoted((isQueue ? "queue " : "exchange ") + name)
            if known.insert(id).inserted {
                nodes.append("  \(id) [label=\(quoted(name)), shape=\(isQueue ? "box" : "ellipse")];")
            }
            return id
        }
        let edges = bindings.map { binding in
            let (from, to) = (
                node(binding.source, isQueue: false), node(binding.destination, isQueue: binding.isQueue)
            )
            let label = binding.label.isEmpty ? "" : " [label=\(quoted(binding.label))]"
            return "  \(from) -> \(to)\(label);"
        }
        return (["digraph leveret {", "  rankdir=LR;"] + nodes + edges + ["}"]).joined(separator: "\n")
    }

    private static func quoted(_ text: String) -> String {
        "\"" + text.printable.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }
}
