// Passwords of a line connection: AUTH, and those that administrators give to others. They are looked at elsewhere,
// and this connection's next request waits for that; a wrong one is answered late.

import Leveret
import LeveretWire
import Logging
import NIOCore

extension LineHandler {
    /// So many wrong passwords close a connection.
    private static let wrongLoginsMax = 3

    /// Closes the connection in time, unless the client logs in. Not while its password is looked at: that time is the
    /// server's, and it is closed after that if the login was refused.
    func watchForLogin(_ context: ChannelHandlerContext) {
        guard session.needsLogin else { return }
        loginTimer = context.eventLoop.assumeIsolated().scheduleTask(deadline: peer.loginDeadline) { [self] in
            guard !isClosing, session.passwordRequest == nil else { return }
            endIfLate(context)
            turn(context)
        }
    }

    /// Ends the connection of a client that should have logged in by now.
    private func endIfLate(_ context: ChannelHandlerContext) {
        guard session.needsLogin, context.eventLoop.now >= peer.loginDeadline else { return }
        let text = "no login within \(limits.loginSeconds) s; closing"
        session.end(with: BrokerError(.accessRefused, text), out: &out)
    }

    /// Sees to a password. What comes of it may be there at once or later; then the turn goes on.
    func seeToPassword(_ context: ChannelHandlerContext) {
        guard let command = session.passwordRequest?.command else { return }
        switch command.purpose {
        case .logIn: logIn(command, context)
        case .restore(let hash, tags: _):
            // An empty one stands for no password, as in RabbitMQ.
            do throws(BrokerError) {
                if !hash.isEmpty { _ = try PasswordHash(hash) }
            } catch { return session.passwordRefused(error, out: &out) }
            hashed("", context)
        case .add, .change:
            // Who may not is not to have anything hashed.
            if let request = command.request(hash: ""),
                let refusal = openDoor(context).refusal(of: .administer(request))
            {
                return session.passwordRefused(refusal, out: &out)
            }
            let loop = context.eventLoop
            desk.hash(command.password, on: loop).assumeIsolated().whenSuccess { [self] result in
                guard context.channel.isActive, !isClosing else { return }
                switch result {
                case .success(let hash): hashed(hash, context)
                case .failure(let error): session.passwordRefused(error, out: &out)
                }
                turn(context)
            }
        }
    }

    private func hashed(_ hash: String, _ context: ChannelHandlerContext) {
        guard let submission = session.passwordHashed(hash) else { return }
        submit([submission], context)
    }

    // MARK: - AUTH

    private func logIn(_ command: PasswordCommand, _ context: ChannelHandlerContext) {
        guard peer.mayShowPassword else {
            let text =
                "a password over TCP without TLS can be read on its way; connect with TLS, or start the server with "
                + "--allow-plain-auth yes"
            return session.passwordRefused(BrokerError(.accessRefused, text), out: &out)
        }
        let loop = context.eventLoop
        let answerTime = loop.now + .milliseconds(Int64(limits.wrongLoginMilliseconds))
        desk.compare(command.password, of: command.user, on: loop).assumeIsolated().whenSuccess {
            [self] verdict in
            guard context.channel.isActive, !isClosing else { return }
            switch verdict {
            case .right where !peer.mayBe(command.user):
                noteWrongLogin(command.user)
                refuseLate(.wrongLogin, at: answerTime, context)
            case .right(let hash):
                // With its session, so that a limit on these counts.
                _ = openDoor(context)
                do throws(BrokerError) {
                    try openConnection(context).logIn(as: command.user, passwordHash: hash)
                    session.loggedIn(out: &out)
                    loginTimer?.cancel()
                    logger.debug(
                        "logged in", metadata: ["user": "\(command.user.shownInLog)", "peer": "\(peer.name)"])
                } catch {
                    session.passwordRefused(error, out: &out)
                    endIfLate(context)
                }
                turn(context)
            case .wrong:
                noteWrongLogin(command.user)
                refuseLate(.wrongLogin, at: answerTime, context)
            case .busy:
                refuseLate(BrokerError(.resourceError, PasswordDesk.busyText), at: answerTime, context)
            }
        }
    }

    private func noteWrongLogin(_ user: UserName) {
        wrongLogins += 1
        desk.noteRefused(user, PasswordDesk.wrongText, peer, logger)
    }

    private func refuseLate(_ error: BrokerError, at time: NIODeadline, _ context: ChannelHandlerContext) {
        let loop = context.eventLoop.assumeIsolated()
        lateAnswer = loop.scheduleTask(deadline: max(time, context.eventLoop.now)) { [self] in
            guard context.channel.isActive, !isClosing else { return }
            session.passwordRefused(error, out: &out)
            if wrongLogins >= Self.wrongLoginsMax {
                let text = "\(wrongLogins) wrong passwords; closing"
                session.end(with: BrokerError(.accessRefused, text), out: &out)
            } else {
                endIfLate(context)
            }
            turn(context)
        }
    }
}
