// What goes wrong, as the shell sees it: a sentence on standard error and an exit status. Every command
// throws `Failure`; the root command is the only place that exits.

/// The exit statuses of `leveret`, stable for scripts.
enum CommandStatus: Int32 {
    /// What was asked is done.
    case done = 0
    /// The server, or the file, refused.
    case refused = 1
    /// The command line is wrong; nothing was tried.
    case usage = 2
    /// No server answers, or it is shutting down.
    case unreachable = 3
    /// `check` found a threshold crossed.
    case crossed = 4
    /// The queue, exchange or file named isn't there.
    case notFound = 5
    /// It exists in another shape, is held by someone else, or is in use.
    case conflict = 6

    /// The status for a reply code of the server.
    init(replyCode: Int) {
        switch replyCode {
        case 320: self = .unreachable
        case 404: self = .notFound
        case 405, 406: self = .conflict
        default: self = .refused
        }
    }
}

/// A command that couldn't be done.
struct Failure: Error, Equatable {
    /// What the shell gets.
    var status: CommandStatus
    /// What failed, on what, why, and what to do: lower case, no full stop. Empty where there is no more to say.
    var text: String

    /// A status whose reason has been printed as what was asked for.
    init(_ status: CommandStatus) { self.init(status, "") }

    /// A failure with a status and a sentence.
    init(_ status: CommandStatus, _ text: String) {
        self.status = status
        self.text = text
    }

    /// A refusal as the server worded it.
    init(_ refusal: Reply.Refusal) {
        status = CommandStatus(replyCode: refusal.code)
        let advice = Self.advice(refusal.code, refusal.text)
        // What to ask of the line is no advice for who has a command for it.
        let hint = advice.isEmpty ? nil : refusal.text.firstRange(of: "; LIST ")
        let said = refusal.text[..<(hint?.lowerBound ?? refusal.text.endIndex)]
        text = "\(Self.asOption(said)) (\(refusal.code) \(refusal.name))".printable + advice
    }

    /// `option delay=-5 is …` as `--delay -5 is …`: mostly a request has it from the option of this name.
    private static func asOption(_ text: Substring) -> String {
        guard text.hasPrefix("option "), let sign = text.firstIndex(of: "=") else { return String(text) }
        let name = text[..<sign].dropFirst("option ".count)
        return (name.count == 1 ? "-" : "--") + name + " " + text[sign...].dropFirst()
    }

    /// What to do about a refusal that doesn't say so itself.
    static func advice(_ code: Int, _ text: String) -> String {
        switch code {
        case 403 where text.hasPrefix("log in first"):
            "; say --url leveret://user@host:port, or leverets:// with TLS"
        case 404 where text.hasPrefix("no user"): "; 'leveret user list' lists them"
        case 404 where text.hasPrefix("no connection"): "; 'leveret connections' lists them"
        case 404 where text.hasPrefix("no queue"): "; 'leveret queues' lists them"
        case 404 where text.hasPrefix("no vhost"): "; 'leveret vhost list' lists them"
        case 404 where text.hasPrefix("no exchange"):
            "; check the name, or make it with 'leveret exchange declare'"
        case 406 where text.hasPrefix("inequivalent arg"): "; declare it as it is, or delete it first"
        default: ""
        }
    }

    /// True where a search or a query took too long or too much, or found too much: over fewer messages it may do.
    /// One code stands for many reasons, so the words tell (Store/Search/GuardedDatabase.swift, StoreSearch.swift).
    var isSearchTooLong: Bool {
        status == .refused
            && (text.contains(" was stopped after ") || text.contains(" was stopped: it takes more than ")
                || text.contains("give it a LIMIT"))
    }
}
