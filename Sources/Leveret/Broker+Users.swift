// Users of a broker, and what a server needs to let them in. What stands for a password leaves the broker here, inside
// this package only.

public import LeveretCore

extension Broker {
    /// Changes users and their permissions; all but `.export`, which is for sessions. Returns once it is durable.
    ///
    /// This program may do everything whatever it changes here: users are for clients of a server in front of the
    /// broker, and `PasswordHash` of LeveretServer makes what stands for their passwords.
    ///
    /// - Throws: a `BrokerError`: 404 where there is no such user, 406 where there is one already, or for a pattern
    ///   that can't be understood.
    public func administer(_ request: UserRequest) async throws {
        let answer = try await door.ask(.administer(request))
        guard case .done = answer else { throw BrokerError.unexpected(answer) }
    }

    /// What stands for a user's password; `nil` where there is no such user.
    package func passwordHash(of user: UserName) -> String? {
        engine.enter { state, _ in state.core.passwordHash(of: user) }
    }

    /// Counts a login that was refused (`BrokerStatus.loginsRefused`).
    package func noteRefusedLogin() { engine.enter { state, _ in state.core.loginRefused() } }
}
