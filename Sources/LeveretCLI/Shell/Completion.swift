// What may stand where the cursor is, at the prompt of `shell`: commands, options, their values, files, and the names
// that are on the server. Names come the way in which the completion of bash and zsh gets them.

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// Completes the word that is being typed.
struct Completion {
    let tree: CommandTree
    /// Asks the server: the command, the argument's name for it, and what its name begins with.
    let ask: (_ command: [String], _ argument: String, _ prefix: String) -> [String]

    /// What the word at the end of `line` may become, sorted, and where in the line it begins; and how far it is the
    /// same whichever of them is meant.
    func candidates(for line: String) -> (start: Int, words: [String]) {
        let parsed = ShellWords(line)
        let prefix = parsed.last ?? ""
        return (parsed.lastStart, words(after: parsed.words, prefix: prefix).sorted())
    }

    /// How far all of these words are the same.
    static func common(_ words: [String]) -> String {
        guard var common = words.first else { return "" }
        for word in words.dropFirst() { common = String(zip(common, word).prefix { $0 == $1 }.map(\.0)) }
        return common
    }

    private func words(after words: [String], prefix: String) -> [String] {
        var command = tree
        var path: [String] = []
        var rest = words[...]
        // `help queue show` names commands like any other line.
        if rest.first == "help" { rest = rest.dropFirst() }
        while let word = rest.first, let next = command.command(named: word) {
            command = next
            path.append(word)
            rest = rest.dropFirst()
        }
        if words.first == "help" { return command.commands.map(\.name).filter { $0.hasPrefix(prefix) } }
        var given = 0
        var awaited: CommandTree.Option?
        for word in rest {
            if awaited != nil {
                awaited = nil
            } else if let option = command.options.first(where: { $0.names.contains(word) }) {
                awaited = option.values == nil ? nil : option
            } else if !word.hasPrefix("-") || word == "-" {
                given += 1
            }
        }
        if let values = awaited?.values { return find(values, of: path, prefix: prefix) }
        if prefix.hasPrefix("-") {
            return command.options.flatMap(\.names).filter { $0.hasPrefix("--") && $0.hasPrefix(prefix) }
        }
        if !command.commands.isEmpty {
            if given > 0 { return [] }
            let own = path.isEmpty ? ["exit"] : []
            return (command.commands.map(\.name) + own).filter { $0.hasPrefix(prefix) }
        }
        let index = command.repeatsLast ? min(given, command.arguments.count - 1) : given
        guard command.arguments.indices.contains(index) else { return [] }
        return find(command.arguments[index], of: path, prefix: prefix)
    }

    private func find(_ values: CommandTree.Values, of path: [String], prefix: String) -> [String] {
        switch values {
        case .any: []
        case .words(let words): words.filter { $0.hasPrefix(prefix) }
        case .file: Self.files(prefix)
        case .live(let argument): ask(path, argument, prefix)
        }
    }

    /// Files and folders whose paths begin so; a folder ends in a slash.
    static func files(_ prefix: String) -> [String] {
        let slash = prefix.lastIndex(of: "/").map { prefix.index(after: $0) } ?? prefix.startIndex
        let (folder, start) = (String(prefix[..<slash]), prefix[slash...])
        guard let entries = opendir(folder.isEmpty ? "." : folder) else { return [] }
        defer { closedir(entries) }
        var found: [String] = []
        while let entry = readdir(entries) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard name.hasPrefix(start), name != ".", name != "..",
                !name.hasPrefix(".") || start.hasPrefix(".")
            else { continue }
            var facts = stat()
            let isFolder = stat(folder + name, &facts) == 0 && facts.st_mode & S_IFMT == S_IFDIR
            found.append(folder + name + (isFolder ? "/" : ""))
        }
        return found
    }
}
