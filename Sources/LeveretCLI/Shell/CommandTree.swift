// The commands of `leveret` as completion needs them: names, options, and what each argument may be. It is read from
// what ArgumentParser says of the commands, so it is never behind them.

import ArgumentParser

/// A command and those below it.
struct CommandTree {
    /// What an argument or the value of an option may be.
    enum Values: Equatable {
        /// Anything.
        case any
        /// One of these.
        case words([String])
        /// The path of a file.
        case file
        /// What the server knows; the command is asked for them under this name of the argument.
        case live(argument: String)
    }

    /// An option or a flag.
    struct Option {
        /// Its names, with their dashes.
        var names: [String]
        /// What follows it; `nil` for a flag.
        var values: Values?
    }

    var name: String
    var aliases: [String]
    var commands: [CommandTree]
    var options: [Option]
    /// Its arguments, in order.
    var arguments: [Values]
    /// The last argument may be given again and again.
    var repeatsLast: Bool

    /// All commands of `leveret`.
    static let leveret = CommandTree(JSON(LeveretCommand._dumpHelp().utf8)?["command"] ?? .null)

    private init(_ command: JSON) {
        name = command["commandName"]?.text ?? ""
        aliases = command["aliases"].elements.compactMap(\.text)
        commands = command["subcommands"].elements.map { CommandTree($0) }
        options = []
        arguments = []
        repeatsLast = false
        for argument in command["arguments"].elements where argument["shouldDisplay"] != .bool(false) {
            if argument["kind"]?.text == "positional" {
                arguments.append(Self.values(of: argument, named: "positional@\(arguments.count)"))
                repeatsLast = argument["isRepeating"] == .bool(true)
                continue
            }
            let names = argument["names"].elements.map {
                ($0["kind"]?.text == "long" ? "--" : "-") + ($0["name"]?.text ?? "")
            }
            let hasValue = argument["kind"]?.text == "option"
            let values = Self.values(
                of: argument, named: names.first { $0.hasPrefix("--") } ?? names.first ?? "")
            options.append(Option(names: names, values: hasValue ? values : nil))
        }
    }

    private static func values(of argument: JSON, named name: String) -> Values {
        let kind = argument["completionKind"]
        if kind?["custom"] != nil { return .live(argument: name) }
        if kind?["file"] != nil { return .file }
        let words = kind?["list"]?["values"] ?? argument["allValues"]
        return words.map { .words($0.elements.compactMap(\.text)) } ?? .any
    }

    /// The command below of this name.
    func command(named name: String) -> CommandTree? {
        commands.first { $0.name == name || $0.aliases.contains(name) }
    }
}

extension JSON {
    /// The values of a list; none of what is no list.
    fileprivate var elements: [JSON] { if case .array(let values) = self { values } else { [] } }
}

extension JSON? {
    /// The values of a list; none of what is no list, or not there.
    fileprivate var elements: [JSON] { self?.elements ?? [] }
}
