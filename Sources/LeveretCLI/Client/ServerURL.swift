// The value of `--url` and LEVERET_URL in its parts: who logs in, and where. The address itself is ServerAddress's.

/// A server's URL, its user taken out.
struct ServerURL: Equatable {
    /// The URL without a user.
    let address: String
    /// Who logs in; `nil` where nobody does.
    let user: String?
    /// The password, which only LEVERET_URL may have.
    let password: String?

    /// Takes the user out of `user@host`, `user:password@host`, either of them behind `leveret://` or `leverets://`,
    /// and of `unix://user@/path`. What a URL can't have stands in it as `%2F`.
    ///
    /// - Throws: `Failure` with `.usage`; it never shows a password.
    init(_ url: String) throws(Failure) {
        guard !url.hasPrefix("unix:") || url.hasPrefix("unix://") else {
            (address, user, password) = (url, nil, nil)
            return
        }
        let begin = url.firstRange(of: "://")?.upperBound ?? url.startIndex
        let end = url[begin...].firstIndex(of: "/") ?? url.endIndex
        guard let at = url[begin..<end].lastIndex(of: "@") else {
            (address, user, password) = (url, nil, nil)
            return
        }
        let parts = url[begin..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        address = String(url[..<begin] + url[url.index(after: at)...])
        let name = try Self.decoded(parts[0])
        if name.isEmpty { throw Failure(.usage, "a server's URL has no user's name before its '@'") }
        user = name
        password = parts.count > 1 ? try Self.decoded(parts[1]) : nil
    }

    private static func decoded(_ text: Substring) throws(Failure) -> String {
        guard let decoded = ServerTarget.decoded(text) else {
            throw Failure(
                .usage,
                "the user in a server's URL is not percent-encoded: behind a % stand two hexadecimal digits; write "
                    + "%25 for itself")
        }
        return decoded
    }
}

/// Who a client says it is, and what shows it.
struct Login: Equatable, Sendable {
    let user: String
    let password: [UInt8]

    init(user: String, password: [UInt8]) {
        self.user = user
        self.password = password
    }

    /// The login that a URL asks for: with the password in it, of LEVERET_PASSWORD, or that somebody types.
    ///
    /// - Parameter ask: Whether somebody can be asked.
    /// - Throws: `Failure` with `.usage` where there is no password.
    init?(_ url: ServerURL, ask: Bool = true) throws(Failure) {
        guard let user = url.user else { return nil }
        if let password = url.password ?? Terminal.environment("LEVERET_PASSWORD") {
            self.init(user: user, password: Array(password.utf8))
            return
        }
        guard ask, let password = try SecretPrompt.ask("Password of \(user.printable): ") else {
            throw Failure(
                .usage,
                "there is no password for user '\(user.printable)' and nobody to ask; set LEVERET_PASSWORD")
        }
        self.init(user: user, password: password)
    }
}
