// What a session's user may ask, request by request: RabbitMQ's table ("Access Control": how permissions work), and
// what follows from it for the requests that RabbitMQ does not have. The core asks before it carries anything out.
//
//   configure   declare and delete a queue or exchange, pause and resume a queue
//   write       publish to an exchange; be what a binding, a dead letter or an alternate exchange leads to; MOVE to,
//               IMPORT into and EDIT in a queue
//   read        get, consume, purge, PEEK, MOVE from, CANCEL and EDIT in a queue; be what a binding leads from
//
// A request that is about the broker and not about a queue or exchange needs a tag. To add a request: a line in
// `check`, and one in docs/security.md.

/// What may be done with a queue or exchange.
enum Right: String, Hashable, Sendable, CaseIterable {
    case configure, write, read
}

/// What a right is about.
enum Resource: Hashable, CustomStringConvertible {
    case queue(QueueName)
    case exchange(ExchangeName)

    /// The name that patterns are looked for in; the default exchange has one of its own here, as in RabbitMQ.
    var name: String {
        switch self {
        case .queue(let name): name.rawValue
        case .exchange(.default): "amq.default"
        case .exchange(let name): name.rawValue
        }
    }

    var description: String {
        switch self {
        case .queue: "queue '\(name)'"
        case .exchange: "exchange '\(name)'"
        }
    }
}

/// A permission that is ready for use.
struct ActivePermission {
    let permission: UserPermission
    private let patterns: [Right: NamePattern]

    /// Compiles the patterns. Throws 406 that says which one can't be understood, and where.
    init(_ permission: UserPermission) throws(BrokerError) {
        self.permission = permission
        var patterns: [Right: NamePattern] = [:]
        for (right, source) in [
            (Right.configure, permission.configure), (.write, permission.write), (.read, permission.read),
        ] {
            do throws(BrokerError) { patterns[right] = try NamePattern(source) } catch {
                throw BrokerError(error.code, "\(right.rawValue): \(error.text)")
            }
        }
        self.patterns = patterns
    }

    /// True where the user may do that with what has this name.
    func allows(_ right: Right, _ name: String) -> Bool {
        guard let pattern = patterns[right] else { return false }
        switch pattern.source {
        case "": return false
        case ".*": return true
        default: return pattern.matches(name)
        }
    }
}

/// What a session may ask that belongs to a user. Made anew when the user's rights change.
final class Access {
    /// So many answers are remembered before all are forgotten.
    private static let rememberedMax = 1024

    private struct Claim: Hashable {
        let right: Right
        let resource: Resource
    }

    let user: UserName
    private let host: VirtualHost
    private let tags: Set<String>
    /// The virtual hosts in which the user has permissions.
    private let hosts: Set<VirtualHostName>
    /// `nil` where the user has none in this virtual host.
    private let permission: ActivePermission?
    /// For topic exchanges whose keys are not all free to the user.
    private let topics: [ExchangeName: ActiveTopicPermission]
    /// What every request is refused with: the user has too many sessions.
    let bar: BrokerError?
    /// Where the last message went that was allowed.
    @exclusivity(unchecked) private var lastExchange: ExchangeName?
    private var remembered: [Claim: Bool] = [:]

    init(_ user: UserState, in host: VirtualHost, bar: BrokerError? = nil) {
        self.user = user.definition.name
        self.host = host
        tags = Set(user.definition.tags)
        hosts = Set(user.permissions.keys)
        permission = user.permissions[host.name]
        topics = user.topics[host.name] ?? [:]
        self.bar = bar
    }

    private var vhost: VirtualHostName { host.name }

    /// Throws 403 for what the user may not, with RabbitMQ's words.
    func check(_ request: Request) throws(BrokerError) {
        if let bar { throw bar }
        switch request {
        case .publish(let message, _): try checkPublish(message)
        case .settle, .settleAtCommit, .rollBack, .touch, .amend, .endGet, .cancel, .setSessionPrefetch,
            .recover, .declareReplyQueue:
            break
        case .transaction(let requests): try checkAll(requests)
        case .get(let queue, autoAck: _, waitMilliseconds: _): try require(.read, .queue(queue))
        case .consume(let consume):
            if !mayConsume(consume.queue) { try require(.read, .queue(consume.queue)) }
        case .purge(let queue), .cancelMessage(let queue, _): try require(.read, .queue(queue))
        case .peek(let peek): try require(.read, .queue(peek.queue))
        case .edit(let edit):
            try require(.read, .queue(edit.queue))
            try require(.write, .queue(edit.queue))
        case .restore(let restored):
            try require(.write, .queue(restored.queue))
            if !has(.administrator) { try checkPublisher(of: restored.message) }
        case .move(let move): try checkMove(move)
        case .declareQueue(let queue, let passive): if !passive { try checkDeclaration(of: queue) }
        case .declareExchange(let exchange, let passive): if !passive { try checkDeclaration(of: exchange) }
        case .deleteQueue(let queue, ifUnused: _, ifEmpty: _), .setPaused(let queue, _):
            try require(.configure, .queue(queue))
        case .deleteExchange(let exchange, ifUnused: _): try require(.configure, .exchange(exchange))
        case .bind(let binding), .unbind(let binding):
            try require(.write, Resource(binding.target))
            try require(.read, .exchange(binding.source))
            try requireKey(.read, binding.routingKey, of: binding.source)
        case .why(let queue), .status(.some(let queue)):
            if !has(.monitoring) { try require(.read, .queue(queue)) }
        case .route(let message, after: _):
            guard !seesVirtualHost else { break }
            try require(.write, .exchange(message.exchange))
            try requireKeys(of: message)
        case .status(nil): try requireTag([.management, .policymaker, .monitoring], "the broker's state")
        case .list(let listing, match: _, after: _): try checkListing(listing)
        case .setPolicy(let policy): try checkPolicy(isOperator: policy.isOperator)
        case .deletePolicy(_, let isOperator): try checkPolicy(isOperator: isOperator)
        case .query: try requireTag([], "SQL over the whole database")
        case .closeConnection: try requireTag([], "closing connections")
        case .setLogLevel: try requireTag([], "what the server logs")
        case .administer: try requireTag([], "the administration of users")
        case .createVirtualHost, .deleteVirtualHost, .limitVirtualHost:
            try requireTag([], "the administration of virtual hosts")
        case .enter(let vhost):
            guard hosts.contains(vhost) || has(.administrator) else {
                throw BrokerError(.notAllowed, "access to vhost '\(vhost)' refused for user '\(user)'")
            }
        }
    }

    /// True where the user has that right.
    func allows(_ right: Right, _ resource: Resource) -> Bool {
        let claim = Claim(right: right, resource: resource)
        if let isAllowed = remembered[claim] { return isAllowed }
        let isAllowed = permission?.allows(right, resource.name) ?? false
        if remembered.count >= Self.rememberedMax { remembered.removeAll(keepingCapacity: true) }
        remembered[claim] = isAllowed
        return isAllowed
    }

    /// True where the user may consume from it. Queues for replies are their connection's own, which the core sees to.
    func mayConsume(_ queue: QueueName) -> Bool { queue.isForReplies || allows(.read, .queue(queue)) }

    /// Throws 403 where the user has not that right.
    func require(_ right: Right, _ resource: Resource) throws(BrokerError) {
        guard allows(right, resource) else {
            throw BrokerError(
                .accessRefused,
                "\(right.rawValue) access to \(resource) in vhost '\(vhost)' refused for user '\(user)'")
        }
    }

    /// Throws 403 where the message goes to a topic exchange with a key that the user may not publish with. `CC` and
    /// `BCC` are keys, too.
    func requireKeys(of message: Message) throws(BrokerError) {
        guard !topics.isEmpty, topics[message.exchange] != nil else { return }
        try requireKey(.write, message.routingKey, of: message.exchange)
        for key in try message.shared.map(Topology.extraKeys) ?? [] {
            try requireKey(.write, key, of: message.exchange)
        }
    }

    private func requireKey(
        _ right: Right, _ key: String, of exchange: ExchangeName
    ) throws(BrokerError) {
        guard let permission = topics[exchange], host.topology.exchange(exchange)?.type == .topic,
            !permission.allows(right, key)
        else { return }
        // RabbitMQ says "exchange" twice.
        throw BrokerError(
            .accessRefused,
            "\(right.rawValue) access to topic '\(key)' in exchange \(Resource.exchange(exchange)) in vhost "
                + "'\(vhost)' refused for user '\(user)'")
    }

    /// True for a virtual host that listings may show.
    func sees(_ vhost: VirtualHostName) -> Bool { hosts.contains(vhost) || has(.monitoring) }

    // MARK: - Requests

    private func checkPublish(_ message: Message) throws(BrokerError) {
        if message.exchange != lastExchange {
            try require(.write, .exchange(message.exchange))
            lastExchange = message.exchange
        }
        try requireKeys(of: message)
        try checkPublisher(of: message)
    }

    private func checkPublisher(of message: Message) throws(BrokerError) {
        guard let publisher = message.shared?.properties.userID, !publisher.hasSameBytes(as: user.rawValue),
            !tags.contains(UserTag.impersonator.rawValue)
        else { return }
        throw BrokerError(
            .preconditionFailed,
            "user_id property set to '\(publisher)' but authenticated user was '\(user)'")
    }

    private func checkAll(_ requests: [Request]) throws(BrokerError) {
        for (part, request) in requests.enumerated() {
            do throws(BrokerError) { try check(request) } catch {
                var error = error
                error.part = part
                throw error
            }
        }
    }

    private func checkMove(_ move: Move) throws(BrokerError) {
        try require(.read, .queue(move.source))
        switch move.destination {
        case .queue(let queue): try require(.write, .queue(queue))
        case .exchange(let exchange, routingKey: _): try require(.write, .exchange(exchange))
        case .origin, .nowhere: break  // where each message comes from is seen, and checked, as it is moved
        }
    }

    private func checkDeclaration(of queue: QueueDefinition) throws(BrokerError) {
        // A name that the broker is to make is not known yet, but how it begins is.
        let name: QueueName = queue.name.rawValue.isEmpty ? "amq.gen-" : queue.name
        try require(.configure, .queue(name))
        guard case .string(let deadLetters)? = queue.arguments[QueueArgument.deadLetterExchange] else {
            return
        }
        try require(.read, .queue(name))
        try require(.write, .exchange(ExchangeName(deadLetters)))
    }

    private func checkDeclaration(of exchange: ExchangeDefinition) throws(BrokerError) {
        try require(.configure, .exchange(exchange.name))
        guard case .string(let alternate)? = exchange.arguments[ExchangeArgument.alternate] else { return }
        try require(.read, .exchange(exchange.name))
        try require(.write, .exchange(ExchangeName(alternate)))
    }

    private func checkListing(_ listing: Listing) throws(BrokerError) {
        switch listing {
        case .queues, .exchanges, .bindings, .consumers, .policies:
            try requireTag([.management, .policymaker, .monitoring], "lists of \(listing.rawValue)")
            guard seesVirtualHost else {
                throw BrokerError(.notAllowed, "access to vhost '\(vhost)' refused for user '\(user)'")
            }
        case .connections, .channels: try requireTag([.monitoring], "lists of \(listing.rawValue)")
        case .virtualHosts: try requireTag([.management, .policymaker, .monitoring], "lists of vhosts")
        case .users, .permissions, .topicPermissions: try requireTag([], "lists of \(listing.rawValue)")
        }
    }

    private func checkPolicy(isOperator: Bool) throws(BrokerError) {
        try requireTag(isOperator ? [] : [.policymaker], isOperator ? "operator policies" : "policies")
        guard permission != nil || has(.administrator) else {
            throw BrokerError(.notAllowed, "access to vhost '\(vhost)' refused for user '\(user)'")
        }
    }

    // MARK: - Tags

    /// Administrators may whatever a tag allows.
    private func has(_ tag: UserTag) -> Bool {
        tags.contains(tag.rawValue) || tags.contains(UserTag.administrator.rawValue)
    }

    /// The virtual host's queues, exchanges and bindings are no secret.
    private var seesVirtualHost: Bool {
        has(.administrator)
            || permission != nil && (has(.management) || has(.policymaker) || has(.monitoring))
    }

    private func requireTag(_ wanted: [UserTag], _ what: String) throws(BrokerError) {
        guard !has(.administrator), !wanted.contains(where: has) else { return }
        let tags = (wanted + [.administrator]).map { "'\($0.rawValue)'" }
        let one = tags.count == 1 ? "the tag \(tags[0])" : "one of the tags \(tags.joined(separator: ", "))"
        throw BrokerError(.accessRefused, "\(what): access refused for user '\(user)', who needs \(one)")
    }
}

extension Resource {
    /// What a binding leads to.
    fileprivate init(_ target: BindingTarget) {
        switch target {
        case .queue(let queue): self = .queue(queue)
        case .exchange(let exchange): self = .exchange(exchange)
        }
    }
}
