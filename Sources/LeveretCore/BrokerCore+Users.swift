// Users come and go, connections log in as them, and what changes of their rights counts at once.

/// A user with its permissions.
final class UserState {
    var definition: UserDefinition
    var permissions: [VirtualHostName: ActivePermission] = [:]
    /// Which keys of topic exchanges it may use; those of others are free.
    var topics: [VirtualHostName: [ExchangeName: ActiveTopicPermission]] = [:]

    init(_ definition: UserDefinition) { self.definition = definition }
}

extension BrokerCore {
    // MARK: - Logging in

    /// What stands for a user's password; `nil` where there is no such user.
    public func passwordHash(of user: UserName) -> String? { users[user]?.definition.passwordHash }

    /// A connection's client has shown that it is this user: from here on its sessions may do what that user may.
    ///
    /// - Parameter passwordHash: what the password was compared with.
    /// - Throws: 403 where that is no longer what stands for the password; 530 where the user has as many connections
    ///   or sessions as it may; 503 where the connection has a user already. Then nothing has changed.
    public mutating func logIn(
        _ id: ConnectionID, as name: UserName, passwordHash: String, now: Instant
    ) throws(BrokerError) {
        guard let connection = connectionsByID[id] else {
            throw BrokerError(.connectionForced, "the connection is closed; open it again to go on")
        }
        if let user = connection.user {
            let text = "this connection is logged in as '\(user.definition.name)' already; open another one"
            throw BrokerError(.commandInvalid, text)
        }
        guard let user = users[name], user.definition.passwordHash.hasSameBytes(as: passwordHash) else {
            throw .wrongLogin
        }
        let limits = user.definition.limits
        if let limit = limits.connectionsMax, openConnections(of: user) >= limit {
            throw BrokerError(
                .notAllowed,
                "connection refused for user '\(name)': user connection limit (\(limit)) is reached")
        }
        if let limit = limits.sessionsMax, openSessions(of: user) + connection.sessions.count > limit {
            throw sessionsExceeded(limit, name)
        }
        connection.user = user
        for session in connection.sessions {
            session.access = access(of: session)
            endTakingUnread(session, now: now)
        }
    }

    /// Somebody could not show who it is.
    public mutating func loginRefused() { totals.loginsRefused += 1 }

    private func sessionsExceeded(_ limit: Int, _ name: UserName) -> BrokerError {
        BrokerError(
            .notAllowed,
            "number of channels opened for user '\(name)' has reached the maximum allowed user limit of (\(limit))"
        )
    }

    private func openConnections(of user: UserState) -> Int { connections.count { $0.user === user } }

    private func openSessions(of user: UserState) -> Int {
        connections.reduce(0) { $0 + ($1.user === user ? $1.sessions.count : 0) }
    }

    /// What a session may ask; `nil` where it belongs to no user, and may everything.
    func access(of session: Session, isNew: Bool = false) -> Access? {
        guard let user = session.connection.user else { return nil }
        var bar = session.access?.bar
        if isNew, let limit = user.definition.limits.sessionsMax, openSessions(of: user) > limit {
            bar = sessionsExceeded(limit, user.definition.name)
        }
        return Access(user, in: session.host, bar: bar)
    }

    /// What a request would be refused with for want of rights, were it submitted now.
    public func refusal(of request: Request, from id: SessionID) -> BrokerError? {
        guard let access = sessionsByID[id]?.access else { return nil }
        do throws(BrokerError) { try access.check(request) } catch { return error }
        return nil
    }

    // MARK: - Administration

    /// Takes over what the store found.
    mutating func recoverUsers(_ state: RecoveredState) {
        for definition in state.users { add(UserState(definition)) }
        for permission in state.permissions {
            // One that can no longer be understood allows nothing; it stays in the file.
            users[permission.user]?.permissions[permission.vhost] = try? ActivePermission(permission)
        }
        for permission in state.topicPermissions {
            users[permission.user]?.topics[permission.vhost, default: [:]][permission.exchange] =
                ActiveTopicPermission(recovered: permission)
        }
    }

    private mutating func add(_ user: UserState) {
        users[user.definition.name] = user
        userOrder.insert(user.definition.name)
    }

    /// Carries out what is asked about users, and answers once it is durable.
    mutating func administer(_ request: UserRequest, _ ticket: Ticket, _ session: Session, now: Instant) {
        let before = gathering.durableChanges
        do throws(BrokerError) {
            switch request {
            case .add(let definition):
                guard users[definition.name] == nil else {
                    throw BrokerError(.preconditionFailed, "user '\(definition.name)' is there already")
                }
                try put(definition, now: now)
            case .put(let definition): try put(definition, now: now)
            case .setPassword(let name, let hash):
                try change(name, now: now) { $0.passwordHash = hash }
            case .setTags(let name, let tags):
                try change(name, now: now) {
                    $0.tags = UserDefinition(name, passwordHash: "", tags: tags).tags
                }
            case .setLimits(let name, let limits): try change(name, now: now) { $0.limits = limits }
            case .delete(let name): delete(name, now: now)
            case .permit(let permission): try permit(permission, now: now)
            case .forbid(let name, let vhost): forbid(name, in: vhost, now: now)
            case .permitTopics(let permission): try permitTopics(permission, now: now)
            case .freeTopics(let name, let vhost, let exchange):
                freeTopics(of: exchange, to: name, in: vhost, now: now)
            case .export:
                var definitions: [UserDefinition] = []
                userOrder.walk(after: nil) { name in
                    if let user = users[name] { definitions.append(user.definition) }
                    return true
                }
                return answer(session, ticket, .userDefinitions(definitions))
            }
        } catch {
            return answer(session, ticket, .refused(error))
        }
        if gathering.durableChanges == before {
            answerOnceCommitted(session, ticket, .done, latestDefinitions)
        } else {
            answerDurably(session, ticket, .done, since: before)
        }
    }

    private mutating func put(_ definition: UserDefinition, now: Instant) throws(BrokerError) {
        if let user = users[definition.name] {
            return try change(definition.name, now: now) {
                $0.passwordHash = definition.passwordHash
                $0.tags = definition.tags
                $0.limits = user.definition.limits
            }
        }
        try definition.check()
        guard users.count < limits.usersMax else {
            throw BrokerError(
                .resourceError, "there are \(users.count) users, as many as there may be; delete some first")
        }
        add(UserState(definition))
        gathering.define(.putUser(definition))
    }

    private mutating func change(
        _ name: UserName, now: Instant, _ change: (inout UserDefinition) -> Void
    ) throws(BrokerError) {
        let user = try user(name)
        var definition = user.definition
        change(&definition)
        try definition.check()
        guard definition != user.definition else { return }
        user.definition = definition
        gathering.define(.putUser(definition))
        rightsChanged(of: user, now: now)
    }

    private func user(_ name: UserName) throws(BrokerError) -> UserState {
        guard let user = users[name] else {
            throw BrokerError(.notFound, "no user '\(name)'; LIST users shows them")
        }
        return user
    }

    private mutating func delete(_ name: UserName, now: Instant) {
        guard let user = users.removeValue(forKey: name) else { return }
        userOrder.remove(name)
        gathering.define(.deleteUser(name))
        for connection in connections where connection.user === user {
            outputs.closings.append(
                Closing(connection: connection.id, reason: "user '\(name)' was deleted"))
        }
        // Until they are closed they may do nothing.
        user.permissions = [:]
        user.definition.tags = []
        rightsChanged(of: user, now: now)
    }

    private mutating func permit(_ permission: UserPermission, now: Instant) throws(BrokerError) {
        let user = try user(permission.user)
        _ = try virtualHost(permission.vhost)
        let active = try ActivePermission(permission)
        guard user.permissions[permission.vhost]?.permission != permission else { return }
        user.permissions[permission.vhost] = active
        gathering.define(.putPermission(permission))
        rightsChanged(of: user, now: now)
    }

    private mutating func forbid(_ name: UserName, in vhost: VirtualHostName, now: Instant) {
        guard let user = users[name], user.permissions.removeValue(forKey: vhost) != nil else { return }
        gathering.define(.deletePermission(name, in: vhost))
        rightsChanged(of: user, now: now)
    }

    private mutating func permitTopics(_ permission: TopicPermission, now: Instant) throws(BrokerError) {
        let user = try user(permission.user)
        _ = try virtualHost(permission.vhost)
        try ShortString.check(permission.exchange.rawValue, "the name of an exchange")
        let active = try ActiveTopicPermission(permission)
        let (vhost, exchange) = (permission.vhost, permission.exchange)
        guard user.topics[vhost]?[exchange]?.permission != permission else { return }
        let count = user.topics.values.reduce(0) { $0 + $1.count }
        guard count < limits.topicPermissionsMax || user.topics[vhost]?[exchange] != nil else {
            throw BrokerError(
                .resourceError,
                "user '\(permission.user)' has \(count) topic permissions, as many as it may; clear some first"
            )
        }
        user.topics[vhost, default: [:]][exchange] = active
        gathering.define(.putTopicPermission(permission))
        rightsChanged(of: user, now: now)
    }

    private mutating func freeTopics(
        of exchange: ExchangeName?, to name: UserName, in vhost: VirtualHostName, now: Instant
    ) {
        guard let user = users[name], let topics = user.topics[vhost] else { return }
        let freed = exchange.map { topics[$0] == nil ? [] : [$0] } ?? topics.keys.sorted()
        guard !freed.isEmpty else { return }
        for exchange in freed {
            user.topics[vhost]?[exchange] = nil
            gathering.define(.deleteTopicPermission(name, in: vhost, exchange: exchange))
        }
        rightsChanged(of: user, now: now)
    }

    /// A virtual host is gone, and nobody has permissions there.
    mutating func forgetPermissions(in host: VirtualHostName) {
        var losers: [UserName] = []
        var topics: [(user: UserName, exchange: ExchangeName)] = []
        userOrder.walk(after: nil) { name in
            if users[name]?.permissions.removeValue(forKey: host) != nil { losers.append(name) }
            for exchange in users[name]?.topics.removeValue(forKey: host)?.keys.sorted() ?? [] {
                topics.append((name, exchange))
            }
            return true
        }
        for name in losers { gathering.define(.deletePermission(name, in: host)) }
        for topic in topics {
            gathering.define(.deleteTopicPermission(topic.user, in: host, exchange: topic.exchange))
        }
        guard !losers.isEmpty || !topics.isEmpty else { return }
        for session in connections.flatMap(\.sessions) where session.access != nil {
            session.access = access(of: session)
        }
    }

    // MARK: - Rights that change

    /// What a user's open sessions may do is looked at anew, and what they may no longer take from ends.
    private mutating func rightsChanged(of user: UserState, now: Instant) {
        for connection in connections where connection.user === user {
            for session in connection.sessions {
                session.access = access(of: session)
                endTakingUnread(session, now: now)
            }
        }
        settleDying(now: now)
    }

    /// Ends consumers and waiting GETs of queues that the session may no longer read. What they hold they may still
    /// settle.
    private mutating func endTakingUnread(_ session: Session, now: Instant) {
        guard let access = session.access else { return }
        func isOver(_ queue: MessageQueue) -> Bool { !access.mayConsume(queue.name) }
        for consumer in session.consumers where isOver(consumer.queue) {
            post(.consumerEnded(consumer.tag, .accessRefused), to: session)
            remove(consumer, now: now)
            dispatch(consumer.queue, now: now)
        }
        guard session.waitingGets > 0 else { return }
        for case .some(let queue) in queues where !queue.gets.isEmpty && isOver(queue) {
            end(queue.gets.removeAll(of: session.id), with: .empty)
            noteUsed(queue, now: now)
        }
    }

    // MARK: - Listings

    /// A page of users, by name.
    func userPage(after: ListCursor?, _ matches: (String) -> Bool) -> Answer {
        var connections: [ObjectIdentifier: (connections: Int, sessions: Int)] = [:]
        for connection in self.connections {
            guard let user = connection.user else { continue }
            connections[ObjectIdentifier(user), default: (0, 0)].connections += 1
            connections[ObjectIdentifier(user), default: (0, 0)].sessions += connection.sessions.count
        }
        let page = page(userOrder, after: after?.name.map { UserName($0) }) { name -> UserInfo? in
            guard let user = users[name], matches(name.rawValue) else { return nil }
            let open = connections[ObjectIdentifier(user)] ?? (0, 0)
            return UserInfo(
                name: name, tags: user.definition.tags, limits: user.definition.limits,
                connections: open.connections, sessions: open.sessions)
        }
        return .page(.users(page.rows), next: page.last.map { ListCursor(.name($0.rawValue)) })
    }

    /// A page of permissions: those of some users, by name.
    func permissionPage(after: ListCursor?, _ matches: (String) -> Bool) -> Answer {
        let page = page(userOrder, after: after?.name.map { UserName($0) }) { name -> [UserPermission]? in
            guard let user = users[name], matches(name.rawValue) else { return nil }
            return user.permissions.values.map(\.permission).sorted { $0.vhost < $1.vhost }
        }
        return .page(
            .permissions(page.rows.flatMap { $0 }), next: page.last.map { ListCursor(.name($0.rawValue)) })
    }

    /// A page of topic permissions: those of some users, by name.
    func topicPermissionPage(after: ListCursor?, _ matches: (String) -> Bool) -> Answer {
        let page = page(userOrder, after: after?.name.map { UserName($0) }) { name -> [TopicPermission]? in
            guard let user = users[name], matches(name.rawValue) else { return nil }
            return user.topics.values.flatMap { $0.values.map(\.permission) }
                .sorted { ($0.vhost, $0.exchange) < ($1.vhost, $1.exchange) }
        }
        return .page(
            .topicPermissions(page.rows.flatMap { $0 }),
            next: page.last.map { ListCursor(.name($0.rawValue)) })
    }
}

extension BrokerError {
    /// The same for a user that isn't there and a password that is wrong, so that nobody learns which users there are.
    public static let wrongLogin = BrokerError(
        .accessRefused, "login refused: there is no such user, or the password is another")
}

extension UserDefinition {
    /// Throws 406 for what is no user.
    fileprivate func check() throws(BrokerError) {
        func refuse(_ what: String) -> BrokerError { BrokerError(.preconditionFailed, what) }
        guard (1...255).contains(name.rawValue.utf8.count) else {
            throw refuse("a user's name has 1 to 255 bytes, not \(name.rawValue.utf8.count)")
        }
        guard passwordHash.utf8.count <= 1024 else {
            throw refuse(
                "what stands for the password of user '\(name)' has \(passwordHash.utf8.count) bytes; 1024 are allowed"
            )
        }
        guard tags.count <= 32 else {
            throw refuse("user '\(name)' has \(tags.count) tags; 32 are allowed")
        }
        for tag in tags where !(1...255).contains(tag.utf8.count) || tag.utf8.contains(UInt8(ascii: ",")) {
            throw refuse("a tag has 1 to 255 bytes and no comma, unlike '\(tag.prefix(64))'")
        }
        for limit in [limits.connectionsMax, limits.sessionsMax].compactMap({ $0 }) where limit < 0 {
            throw refuse("a limit of user '\(name)' is \(limit); 0 and more are allowed")
        }
    }
}
