// `leveret top`: everything at a glance, live. The model, what it draws and what it asks are in Top/.

import ArgumentParser

struct TopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "Watch all queues live: rates, what waits, and why.",
        discussion: """
            A screen of its own that is drawn anew every second. The key ? shows the keys.

            Examples:
              leveret top
              leveret top --once
              leveret top --once -o json
            """
    )

    @Flag(help: "Print it once, for scripts: as a table what the screen would show, as JSON all queues.")
    var once = false
    @Option(name: [.short, .long], help: "With --once, the form: table or json (one object).")
    var output: OutputFormat = .table
    @OptionGroup var server: ServerOptions

    private static let intervalMilliseconds = 1000

    func validate() throws {
        if output != .table, !once { throw ValidationError("-o needs --once.") }
        if output == .csv {
            throw ValidationError("top knows table and json; 'leveret queues -o csv' is a table.")
        }
    }

    func run() throws {
        let target = try server.target
        if once { return try printOnce(target) }
        var model = TopModel()
        model.server = target.description
        var link = try TopLink(target, as: try server.login())
        let terminal = try TopTerminal()
        defer { terminal.restore() }
        var isNewSize = true
        var next = ContinuousClock.now
        while TerminalSignals.ending == 0 {
            if TerminalSignals.isStopAsked {
                terminal.stop()
                isNewSize = true
            }
            if let size = Terminal.size, size != model.size {
                model.size = size
                model.keepInSight()
                isNewSize = true
            }
            if ContinuousClock.now >= next {
                link.refresh(&model)
                next = .now + .milliseconds(Self.intervalMilliseconds)
            }
            terminal.draw(model.screen, isNewSize: isNewSize)
            isNewSize = false
            let left = max(0, Int((next - .now) / .milliseconds(1)))
            for key in terminal.keys(withinMilliseconds: left) {
                guard let action = model.pressed(key) else { continue }
                if action == .quit { return }
                link.perform(action, &model)
                next = .now
            }
        }
        terminal.restore()
        TerminalSignals.end()
    }

    private func printOnce(_ target: ServerTarget) throws {
        let source = ServerSource(try server.connect())
        let status = try source.status()
        let rows = try TopLink.list(source)
        guard output == .table else {
            let all = JSON.object([
                .init(name: "totals", value: status), .init(name: "queues", value: .array(rows)),
            ])
            return announce(all.compact)
        }
        var model = TopModel()
        model.server = target.description
        model.size = Terminal.size ?? (columns: 100, rows: rows.count + 6)
        model.listed(rows, status: status)
        let lines = model.screen.dropLast().map { $0.text.trimmed }
        announce(lines.joined(separator: "\n"))
    }
}

extension String {
    /// Without spaces at its end.
    fileprivate var trimmed: String {
        var text = self[...]
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
