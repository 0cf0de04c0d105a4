// Where passwords are compared and hashed: one after the other on a thread of its own, however many come, so that a
// flood of logins takes one processor at most and no event loop. What was right once is known again at once.

import Crypto
import Leveret
import Logging
import NIOCore
import NIOPosix
import Synchronization

/// Compares and hashes passwords.
final class PasswordDesk: Sendable {
    /// What came of a login.
    enum Verdict: Sendable, Equatable {
        /// The password is the user's; this stands for it.
        case right(hash: String)
        /// It is not, or there is no such user.
        case wrong
        /// Too many wait.
        case busy
    }

    /// A password that was right: a digest of it under a key that nobody knows and that goes with the process.
    private struct Known {
        let hash: String
        let code: [UInt8]
    }

    private struct State {
        var waiting = 0
        var known: [UserName: Known] = [:]
    }

    /// Passwords that wait, or are being looked at.
    static let waitingMax = 64
    /// Users whose passwords are known again at once; then all are forgotten.
    private static let knownMax = 4096

    private let broker: Broker
    private let cost: PasswordHash.Cost
    private let thread = NIOThreadPool(numberOfThreads: 1)
    private let key = SymmetricKey(size: .bits256)
    private let state = Mutex(State())  // guards how many wait, and what is known

    init(broker: Broker, cost: PasswordHash.Cost = .standard) {
        self.broker = broker
        self.cost = cost
    }

    /// Begins to take passwords.
    func start() { thread.start() }

    /// Takes no more.
    func stop() async throws { try await thread.shutdownGracefully() }

    /// Compares a password with that of a user. An unknown user takes as long as a wrong password.
    func compare(
        _ password: [UInt8], of user: UserName, on loop: any EventLoop
    ) -> EventLoopFuture<Verdict> {
        let hash = broker.passwordHash(of: user)
        if let hash, isKnown(password, of: user, hash) { return loop.makeSucceededFuture(.right(hash: hash)) }
        return work(on: loop, or: .busy) { [self] in
            // A text that can't be read, or is empty, stands for no password.
            guard let hash, let known = try? PasswordHash(hash) else {
                _ = try? PasswordHash(of: password, cost: cost)
                return .wrong
            }
            guard known.matches(password) else { return .wrong }
            remember(password, of: user, hash)
            return .right(hash: hash)
        }
    }

    /// Makes what stands for a password.
    func hash(_ password: [UInt8], on loop: any EventLoop) -> EventLoopFuture<Result<String, BrokerError>> {
        let busy = BrokerError(.resourceError, Self.busyText)
        return work(on: loop, or: .failure(busy)) { [cost] in
            do throws(BrokerError) { return .success(try PasswordHash(of: password, cost: cost).text) } catch
            {
                return .failure(error)
            }
        }
    }

    /// What the log says of a wrong login.
    static let wrongText = "no such user, or another password"
    /// What those are told for whom there is no room.
    static let busyText = "\(waitingMax) passwords are being looked at, as many as may be; try again later"

    /// Counts a login that was refused, and logs why.
    func noteRefused(_ user: UserName, _ why: String, _ peer: Peer, _ logger: Logger) {
        broker.noteRefusedLogin()
        logger.warning(
            "login refused: \(why)", metadata: ["user": "\(user.shownInLog)", "peer": "\(peer.name)"])
    }

    /// Does what takes long, or answers with `busy` where too much of it waits.
    private func work<Answer: Sendable>(
        on loop: any EventLoop, or busy: Answer, _ body: @escaping @Sendable () -> Answer
    ) -> EventLoopFuture<Answer> {
        let hasRoom = state.withLock { state in
            guard state.waiting < Self.waitingMax else { return false }
            state.waiting += 1
            return true
        }
        guard hasRoom else { return loop.makeSucceededFuture(busy) }
        return thread.runIfActive(eventLoop: loop) { [self] in
            defer { state.withLock { $0.waiting -= 1 } }
            return body()
        }.recover { _ in busy }  // it has been stopped
    }

    // MARK: - What is known

    private func code(_ password: [UInt8]) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: password, using: key))
    }

    private func isKnown(_ password: [UInt8], of user: UserName, _ hash: String) -> Bool {
        guard let known = state.withLock({ $0.known[user] }), known.hash == hash else { return false }
        return HMAC<SHA256>.isValidAuthenticationCode(known.code, authenticating: password, using: key)
    }

    private func remember(_ password: [UInt8], of user: UserName, _ hash: String) {
        let known = Known(hash: hash, code: code(password))
        state.withLock { state in
            if state.known.count >= Self.knownMax { state.known.removeAll() }
            state.known[user] = known
        }
    }
}

extension UserName {
    /// A name that somebody made up, for the log: no characters that end a line or move a cursor.
    var shownInLog: String {
        let clean = rawValue.unicodeScalars.map { scalar in
            scalar.properties.generalCategory == .control ? "?" : String(scalar)
        }
        return clean.joined()
    }
}
