// AUTH, USER and PERMISSION. A password stands in the line or is the request's body; it goes on as bytes, and into no
// error text.

public import LeveretCore

/// A request with a password in it, or with what stands for one.
public struct PasswordCommand: Sendable, Hashable {
    /// What the password is for.
    public enum Purpose: Sendable, Hashable {
        /// To be compared with that of the user (AUTH).
        case logIn
        /// To be that of a user who is added, with these tags.
        case add(tags: [String])
        /// To be another user's from here on.
        case change
        /// There is none: this stands for it already, and is to be put in place with these tags.
        case restore(hash: String, tags: [String])
    }

    /// Whose it is.
    public var user: UserName
    /// What it is for.
    public var purpose: Purpose
    /// 1 to 1,024 bytes, or none where it is not needed.
    public var password: [UInt8] = []

    /// The command with its password.
    ///
    /// - Throws: 406 for a password that is empty or too long.
    func with(password: [UInt8]) throws(BrokerError) -> PasswordCommand {
        guard (1...LineLimits.passwordBytesMax).contains(password.count) else {
            throw BrokerError(
                .preconditionFailed,
                "a password has 1 to \(LineLimits.passwordBytesMax) bytes, not \(password.count)")
        }
        var command = self
        command.password = password
        return command
    }
}

extension LineArguments {
    private static let limits = Int64(0)...Int64(Int32.max)

    /// AUTH.
    func logIn(hasBody: Bool) throws(BrokerError) -> LineHead {
        let command = PasswordCommand(user: UserName(try name(0, "user's name")), purpose: .logIn)
        return try password(at: 1, of: command, hasBody: hasBody)
    }

    /// USER.
    func user(hasBody: Bool) throws(BrokerError) -> LineHead {
        let word = positional[0].shown.lowercased()
        if word == "export" {
            try allow(arguments: 1, options: [], hasBody: hasBody)
            return .complete(.submit(.administer(.export), .rows))
        }
        let known = ["add", "passwd", "tags", "limit", "delete", "import"]
        guard known.contains(word) else {
            throw BrokerError(
                .syntaxError,
                "USER knows \(known.joined(separator: ", ")) and export, not '\(positional[0].shown)'; the syntax "
                    + "is: \(verb.syntax)")
        }
        guard positional.count > 1 else {
            throw BrokerError(.syntaxError, "the user's name is missing; the syntax is: \(verb.syntax)")
        }
        let user = UserName(try name(1, "user's name"))
        switch word {
        case "add":
            try allow(arguments: hasBody ? 2 : 3, options: ["tags"], hasBody: false)
            let tags = Self.tags(try text("tags", bytesMax: Self.tagsBytesMax) ?? "")
            let command = PasswordCommand(user: user, purpose: .add(tags: tags))
            return try password(at: 2, of: command, hasBody: hasBody)
        case "passwd":
            try allow(arguments: hasBody ? 2 : 3, options: [], hasBody: false)
            return try password(
                at: 2, of: PasswordCommand(user: user, purpose: .change), hasBody: hasBody)
        case "import":
            try allow(arguments: 2, options: ["tags", "hash"], hasBody: hasBody)
            guard let hash = try text("hash", bytesMax: 1024) else {
                throw BrokerError(.syntaxError, "hash= is missing; the syntax is: \(verb.syntax)")
            }
            let tags = Self.tags(try text("tags", bytesMax: Self.tagsBytesMax) ?? "")
            return .complete(
                .password(PasswordCommand(user: user, purpose: .restore(hash: hash, tags: tags))))
        case "tags":
            try allow(arguments: 3, options: [], hasBody: hasBody)
            let tags = Self.tags(
                positional.count > 2 ? try name(2, "tags", bytesMax: Self.tagsBytesMax) : "")
            return .complete(.submit(.administer(.setTags(user, tags)), .plain))
        case "limit":
            try allow(arguments: 2, options: ["max-connections", "max-channels"], hasBody: hasBody)
            let limits = UserLimits(
                connectionsMax: try number("max-connections", in: Self.limits).map { Int($0) },
                sessionsMax: try number("max-channels", in: Self.limits).map { Int($0) })
            return .complete(.submit(.administer(.setLimits(user, limits)), .plain))
        default:
            try allow(arguments: 2, options: [], hasBody: hasBody)
            return .complete(.submit(.administer(.delete(user)), .plain))
        }
    }

    /// PERMISSION.
    func permission() throws(BrokerError) -> UserRequest {
        let word = positional[0].shown.lowercased()
        let user = UserName(try name(1, "user's name"))
        let vhost = VirtualHostName(try name(2, "virtual host's name"))
        switch (word, positional.count) {
        case ("set", 6):
            return .permit(
                UserPermission(
                    user, in: vhost, configure: try name(3, "pattern for configure"),
                    write: try name(4, "pattern for write"), read: try name(5, "pattern for read")))
        case ("clear", 3): return .forbid(user, in: vhost)
        case ("set-topics", 6):
            return .permitTopics(
                TopicPermission(
                    user, in: vhost, exchange: ExchangeName(try name(3, "exchange's name")),
                    write: try name(4, "pattern for write"), read: try name(5, "pattern for read")))
        case ("clear-topics", 3): return .freeTopics(user, in: vhost, exchange: nil)
        case ("clear-topics", 4):
            return .freeTopics(user, in: vhost, exchange: ExchangeName(try name(3, "exchange's name")))
        default:
            let known = ["set", "clear", "set-topics", "clear-topics"]
            let what =
                known.contains(word)
                ? "\(word) does not take \(positional.count - 1) arguments"
                : "PERMISSION knows \(known.joined(separator: ", ")), not '\(positional[0].shown)'"
            throw BrokerError(.syntaxError, "\(what); the syntax is: \(verb.syntax)")
        }
    }

    private static let tagsBytesMax = 4096

    /// `a,b` as tags; spaces around them and empty ones are left out.
    private static func tags(_ text: String) -> [String] {
        text.split(separator: ",").map { tag in
            String(tag.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
        }.filter { !$0.isEmpty }
    }

    /// Refuses what this form of the request does not have, without showing it.
    private func allow(arguments: Int, options: Set<String>, hasBody: Bool) throws(BrokerError) {
        guard positional.count <= arguments, !hasBody,
            verb.options.allSatisfy({ options.contains($0) || !has($0) })
        else {
            throw BrokerError(
                .syntaxError, "an argument, option or body is one too many; the syntax is: \(verb.syntax)")
        }
    }

    /// The request with its password: this argument, or the body that follows.
    private func password(
        at index: Int, of command: PasswordCommand, hasBody: Bool
    ) throws(BrokerError) -> LineHead {
        guard (positional.count > index) != hasBody else {
            let what = hasBody ? "the password is given twice" : "the password is missing"
            throw BrokerError(.syntaxError, "\(what); the syntax is: \(verb.syntax)")
        }
        if hasBody { return .password(command) }
        return .complete(.password(try command.with(password: positional[index].bytes)))
    }
}
