// Virtual hosts one after the other, for commands that look at a whole server: `check`, `doctor`, `queues`. What can't
// be looked at is told, too, so that nobody takes it for well.

/// A virtual host that can't be looked at.
struct UnseenHost: Equatable {
    let name: String
    /// What the server says about it.
    let why: String

    /// As findings and complaints name it.
    var text: String { "vhost '\(name.printable)' can't be looked at: \(why)" }
}

extension Source {
    /// Looks at the virtual host that was named, or with `nil` at all that there are.
    ///
    /// - Parameters:
    ///   - isWanted: Which of all are looked at, by what stands before the names of what is in them.
    ///   - look: Gets a virtual host, and what stands before the names of what is in it: `shop/`, or nothing in `/` and
    ///     in the one that was named. Where it is refused something, that virtual host counts as one that can't be
    ///     looked at.
    /// - Returns: Those that can't be looked at.
    /// - Throws: What the only one that was named is refused with, or where none can be looked at, the first.
    func visit(
        _ named: String?, where isWanted: (_ prefix: String) -> Bool = { _ in true },
        _ look: (_ host: any Source, _ prefix: String) throws -> Void
    ) throws -> [UnseenHost] {
        if let named {
            try look(try entering(named), "")
            return []
        }
        var names: [String] = []
        try virtualHosts(match: nil) { names.append($0.name) }
        // Who sees none is told so by the one that is always there.
        if names.isEmpty { names = ["/"] }
        var unseen: [UnseenHost] = []
        var refusal: Failure?
        var seen = 0
        for name in names {
            let prefix = name == "/" ? "" : "\(name)/"
            guard isWanted(prefix) else { continue }
            do {
                try look(try entering(name), prefix)
                seen += 1
            } catch let failure as Failure where failure.status == .notFound {
                continue  // it has been deleted since
            } catch let failure as Failure where failure.status == .refused {
                unseen.append(UnseenHost(name: name, why: failure.text))
                refusal = refusal ?? failure
            }
        }
        if let refusal, seen == 0 { throw refusal }
        return unseen
    }
}
