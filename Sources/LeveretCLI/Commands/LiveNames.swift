// Completion by the shell that knows the names on the server. It is quick, or quiet: where no server answers at once
// nothing is offered.

import ArgumentParser

extension CompletionKind {
    /// Names of queues.
    static var queues: CompletionKind { live { LineRequest("LIST").word("queues").option("match", $0) } }
    /// Names of exchanges.
    static var exchanges: CompletionKind {
        live { LineRequest("LIST").word("exchanges").option("match", $0) }
    }
    /// Names of policies.
    static var policies: CompletionKind { live { LineRequest("LIST").word("policies").option("match", $0) } }

    /// Names of virtual hosts.
    static var virtualHosts: CompletionKind {
        .custom { words, _, prefix in
            LiveNames.find(words: words, prefix: prefix, anywhere: true) {
                LineRequest("LIST").word("vhosts").option("match", $0)
            }
        }
    }

    /// Names of users.
    static var users: CompletionKind { live { LineRequest("LIST").word("users").option("match", $0) } }

    private static func live(
        _ request: @escaping @Sendable (_ match: String) -> LineRequest
    ) -> CompletionKind {
        .custom { words, _, prefix in
            LiveNames.find(words: words, prefix: prefix, request)
        }
    }
}

/// What the server has whose name begins like a word that is being typed.
enum LiveNames {
    /// So long a server may be silent: a person waits for it.
    static let millisecondsMax: CInt = 300
    /// More than these nobody reads.
    static let countMax = 200

    private struct Enough: Error {}

    /// The names; none where nobody answers.
    static func find(
        words: [String], prefix: String, anywhere: Bool = false, _ request: (_ match: String) -> LineRequest
    ) -> [String] {
        var names: [String] = []
        do {
            let target = try target(in: words)
            let login = try place(in: words).flatMap { (url) throws(Failure) in try Login(url, ask: false) }
            let client = try LineClient(
                target.address, as: login, silenceMillisecondsMax: millisecondsMax)
            if !anywhere { try client.enter(target.virtualHost) }
            // As a glob the prefix finds what begins so, and perhaps more.
            try client.rows(request(prefix + "*").option("fields", "name")) { row in
                guard let name = row["name"]?.text, name.hasPrefix(prefix), !name.isEmpty else { return }
                names.append(name.printable)
                if names.count == countMax { throw Enough() }
            }
        } catch is Enough {
            return names
        } catch {
            return []  // an error here would stand in the middle of what is typed
        }
        return names
    }

    /// The server and the virtual host that the line so far names.
    static func target(in words: [String]) throws(Failure) -> ServerTarget {
        let vhost = value(of: "--vhost", in: words)
        guard let place = try place(in: words) else {
            return ServerTarget(address: .standard, named: vhost)
        }
        return try ServerTarget(place.address, vhost: vhost)
    }

    private static func place(in words: [String]) throws(Failure) -> ServerURL? {
        guard let url = value(of: "--url", in: words) ?? Terminal.environment("LEVERET_URL") else {
            return nil
        }
        return try ServerURL(url)
    }

    private static func value(of option: String, in words: [String]) -> String? {
        for (index, word) in words.enumerated() {
            if word == option, index + 1 < words.count { return words[index + 1] }
            if word.hasPrefix(option + "=") { return String(word.dropFirst(option.count + 1)) }
        }
        return nil
    }
}
