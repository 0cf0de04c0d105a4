// Who may use the broker over AMQP, and in which virtual host. Users and passwords are those of the line protocol;
// where local clients need not log in there, `guest` with the password `guest` may do everything here, as in a new
// RabbitMQ.

import Leveret
import LeveretWire
import Logging
import NIOCore

extension AMQPHandler {
    /// The password of RabbitMQ's first user, who may do everything until there is a user of that name.
    private static let guestPassword = "guest"
    private static let guestText = "guest may log in from this machine only"

    /// Sees to a login. What comes of it is there at once or later; then the turn goes on.
    func logIn(_ login: AMQPLogin, _ context: ChannelHandlerContext) {
        if login.mechanism == .external { return logInByCertificate(login, context) }
        guard peer.mayShowPassword else {
            return refuseLate(login, "its password can be read on its way; connect with TLS", context)
        }
        let name = UserName(login.user)
        guard peer.mayBe(name) else { return refuseLate(login, Self.guestText, context) }
        if name == .guest, login.password == Self.guestPassword, !peer.mustLogIn,
            broker.passwordHash(of: name) == nil
        {
            return session.loggedIn(as: login.user, out: &out)
        }
        let loop = context.eventLoop
        isComparing = true
        desk.compare(Array(login.password.utf8), of: name, on: loop).assumeIsolated().whenSuccess {
            [self] verdict in
            isComparing = false
            guard context.channel.isActive, !isClosing else { return }
            switch verdict {
            case .right(let hash):
                loggedIn(as: name, hash)
                turn(context)
            case .wrong: refuseLate(login, PasswordDesk.wrongText, context)
            case .busy:
                // Not the answer to a wrong password, on which clients give up.
                later(context) { [self] in
                    session.end(for: BrokerError(.resourceError, PasswordDesk.busyText), out: &out)
                }
            }
        }
    }

    /// Its certificate says who the client is, and TLS has verified that; there only has to be such a user.
    private func logInByCertificate(_ login: AMQPLogin, _ context: ChannelHandlerContext) {
        var login = login
        login.user = peer.certificateName ?? ""
        let name = UserName(login.user)
        guard peer.mayBe(name) else { return refuseLate(login, Self.guestText, context) }
        guard let hash = broker.passwordHash(of: name) else {
            return refuseLate(login, "no such user, whom the certificate is for", context)
        }
        loggedIn(as: name, hash)
    }

    private func loggedIn(as name: UserName, _ passwordHash: String) {
        user = (name, passwordHash)
        logger.debug("logged in", metadata: ["user": "\(name.shownInLog)", "peer": "\(peer.name)"])
        session.loggedIn(as: name.rawValue, out: &out)
    }

    /// Late, so that guessing takes time.
    private func refuseLate(_ login: AMQPLogin, _ why: String, _ context: ChannelHandlerContext) {
        desk.noteRefused(UserName(login.user), why, peer, logger)
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
        let client = session.client(from: peer.name)
        let connection = broker.openConnection(name: shown, client: client) { reason in
            loop.execute { bound.value.handler.end(bound.value.context, reason: reason) }
        }
        do throws(BrokerError) {
            if let user { try connection.logIn(as: user.name, passwordHash: user.passwordHash) }
            try connection.enter(VirtualHostName(name))
        } catch {
            connection.close()
            // As RabbitMQ, whatever is against it is 530.
            let text = error.code == .notFound ? "vhost \(name) not found" : error.text
            return session.opened(name, BrokerError(.notAllowed, text), out: &out)
        }
        self.connection = connection
        timer?.cancel()
        timer = nil
        startHeartbeats(context)
        session.opened(name, nil, out: &out)
    }
}
