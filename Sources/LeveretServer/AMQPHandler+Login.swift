// Who may use the broker over AMQP, and in which virtual host. Users and passwords are those of the line protocol;
// where local clients need not log in there, `guest` with the password `guest` may do everything here, as in a new
// RabbitMQ.

import Leveret
import LeveretWire
import Logging
import NIOCore

extension AMQPHandler {
    /// RabbitMQ's first user, and its password; from this machine only, unless it is a user of our own.
    private static let guest = "guest"
    /// For what the handler submits by itself.
    static let silentTicket = Ticket(.max)

    /// Sees to a login. What comes of it is there at once or later; then the turn goes on.
    func logIn(_ login: AMQPLogin, _ context: ChannelHandlerContext) {
        guard peer.mayShowPassword else {
            return refuseLate(login, "its password can be read on its way; connect with TLS", context)
        }
        let name = UserName(login.user)
        if login.user == Self.guest, login.password == Self.guest, !peer.mustLogIn,
            broker.passwordHash(of: name) == nil
        {
            return session.loggedIn(as: login.user, out: &out)
        }
        let loop = context.eventLoop
        desk.compare(Array(login.password.utf8), of: name, on: loop).assumeIsolated().whenSuccess {
            [self] verdict in
            guard context.channel.isActive, !isClosing else { return }
            switch verdict {
            case .right(let hash):
                user = (name, hash)
                session.loggedIn(as: login.user, out: &out)
                turn(context)
            case .wrong: refuseLate(login, "no such user, or another password", context)
            case .busy:
                // Not the answer to a wrong password, on which clients give up.
                later(context) { [self] in
                    session.end(for: BrokerError(.resourceError, PasswordDesk.busyText), out: &out)
                }
            }
        }
    }

    /// Late, so that guessing takes time.
    private func refuseLate(_ login: AMQPLogin, _ why: String, _ context: ChannelHandlerContext) {
        desk.noteRefusedLogin()
        logger.warning(
            "login refused: \(why)",
            metadata: ["peer": "\(peer.name)", "user": "\(UserName(login.user).shownInLog)"])
        later(context) { [self] in session.refusedLogin(login, out: &out) }
    }

    private func later(_ context: ChannelHandlerContext, _ refuse: @escaping () -> Void) {
        let delay = TimeAmount.milliseconds(Int64(limits.wrongLoginMilliseconds))
        context.eventLoop.assumeIsolated().scheduleTask(in: delay) { [self] in
            guard context.channel.isActive, !isClosing else { return }
            refuse()
            turn(context)
        }
    }

    /// Opens the connection in a virtual host, if there is one of this name and the user may use it.
    func openHost(_ name: String, _ context: ChannelHandlerContext) {
        let shown = session.clientName.map { "\($0) \(peer.name)" } ?? peer.name
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
        let loop = context.eventLoop
        let connection = broker.openConnection(name: shown) { reason in
            loop.execute { bound.value.handler.end(bound.value.context, reason: reason) }
        }
        do throws(BrokerError) {
            if let user { try connection.logIn(as: user.name, passwordHash: user.passwordHash) }
            try Self.enter(VirtualHostName(name), on: connection, session.user)
        } catch {
            connection.close()
            return session.opened(name, error, out: &out)
        }
        (self.connection, host) = (connection, VirtualHostName(name))
        timer?.cancel()
        timer = nil
        startHeartbeats(context)
        session.opened(name, nil, out: &out)
    }

    /// Sees whether a virtual host can be entered. As RabbitMQ, whatever is against it is 530.
    private static func enter(
        _ host: VirtualHostName, on connection: BrokerConnection, _ user: String
    ) throws(BrokerError) {
        let door = connection.openSession {}
        defer { door.close() }
        var events: [SessionEvent] = []
        door.submit([Submission(silentTicket, .enter(host))], events: &events)
        for case .answer(_, .refused(let error)) in events {
            let text = error.code == .notFound ? "vhost \(host) not found" : error.text
            throw BrokerError(.notAllowed, text)
        }
    }
}
