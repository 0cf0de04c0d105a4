// A word that is no command: which one was meant. The parser's own answer names neither the word's place nor what is
// like it.

import ArgumentParser

/// What to say of words that name no command.
enum CommandGuess {
    /// So many commands are proposed.
    private static let proposalsMax = 3

    /// What is wrong with the words of a command line, as far as they choose a command.
    static func failure(in words: [String], of root: any ParsableCommand.Type) -> Failure? {
        var command = root
        var path: [String] = []
        let isHelp = words.first == "help"
        for (index, word) in words.enumerated() where index > 0 || !isHelp {
            let inner = command.configuration.subcommands
            if inner.isEmpty || word.hasPrefix("-") { return nil }
            if let next = inner.first(where: { name(of: $0) == word }) {
                command = next
                path.append(word)
                continue
            }
            // A word alone may be what the command that stands for all takes; of two the first names a command.
            let isAlone = words.dropFirst(index + 1).first?.hasPrefix("-") ?? true
            if !isHelp, command.configuration.defaultSubcommand != nil, isAlone { return nil }
            return failure(word, in: command, path)
        }
        return nil
    }

    private static func failure(
        _ word: String, in command: any ParsableCommand.Type, _ path: [String]
    ) -> Failure {
        let here = (["leveret"] + path).joined(separator: " ")
        var meant = proposals(for: word, in: command).map { "'\(here) \($0)'" }
        // Whoever names a thing alone wants to see it.
        if meant.isEmpty, !path.isEmpty,
            command.configuration.subcommands.contains(where: { name(of: $0) == "show" })
        {
            meant = ["'\(here) show \(word.shellWord)'".printable]
        }
        let question = meant.isEmpty ? "" : "did you mean \(meant.joined(separator: " or "))? "
        let wrong = (path + [word]).joined(separator: " ").printable
        return Failure(.usage, "there is no command '\(wrong)'; \(question)'\(here) --help' lists them")
    }

    /// What of a command's commands is most like the word: those it has itself, else those inside these.
    static func proposals(for word: String, in command: any ParsableCommand.Type) -> [String] {
        let own = command.configuration.subcommands
        let names = own.map { name(of: $0) }
        let begun = names.filter { !word.isEmpty && $0.hasPrefix(word) }
        if !begun.isEmpty { return Array(begun.prefix(proposalsMax)) }
        if let near = nearest(to: word, names, key: { $0 }) { return near }
        let inside = own.flatMap { group in
            group.configuration.subcommands.map { "\(name(of: group)) \(name(of: $0))" }
        }
        if let near = nearest(to: word, inside, key: { String($0.drop { $0 != " " }.dropFirst()) }) {
            return near
        }
        // `list_queues` says it, too.
        for part in word.split(whereSeparator: { $0 == "_" || $0 == "-" }) {
            if let near = nearest(to: String(part), names, key: { $0 }) { return near }
        }
        return []
    }

    /// Those whose `key` is nearest to the word, where any is near.
    private static func nearest(to word: String, _ names: [String], key: (String) -> String) -> [String]? {
        let distances = names.map { (name: $0, distance: distance(key($0), word)) }
        guard let least = distances.map(\.distance).min(), least <= max(1, word.count / 3) else { return nil }
        return Array(distances.filter { $0.distance == least }.map(\.name).prefix(proposalsMax))
    }

    private static func name(of command: any ParsableCommand.Type) -> String {
        command.configuration.commandName ?? String(describing: command).lowercased()
    }

    /// How many letters must be put in, left out, changed, or swapped with their neighbours to make one of the other.
    static func distance(_ a: String, _ b: String) -> Int {
        let (a, b) = (Array(a), Array(b))
        var rows = [Array(0...b.count)]
        for i in a.indices {
            var row = [i + 1]
            for j in b.indices {
                var least = min(row[j] + 1, rows[i][j + 1] + 1, rows[i][j] + (a[i] == b[j] ? 0 : 1))
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
                    least = min(least, rows[i - 1][j - 1] + 1)
                }
                row.append(least)
            }
            rows.append(row)
        }
        return rows[a.count][b.count]
    }
}
