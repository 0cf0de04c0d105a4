// Where a talk waits for a password: what is asked of whoever drives it, and what comes back.

public import LeveretCore
public import NIOCore

/// A password that is to be compared or hashed.
public struct PasswordRequest: Sendable {
    /// The request's.
    let ticket: Ticket
    /// Whose it is and what for.
    public let command: PasswordCommand
}

extension LineSession {
    /// It takes nothing but a login.
    public var needsLogin: Bool { loginRefusal != nil }

    /// The password is the user's: from here on the client may ask for everything.
    public mutating func loggedIn(out: inout ByteBuffer) {
        guard let request = passwordRequest else { return }
        passwordRequest = nil
        if loginRefusal != nil {
            loginRefusal = nil
            decoder.refuseBodies(with: nil, limits: limits)
        }
        answered(request.ticket.rawValue, .done, out: &out)
    }

    /// It is not, or nothing can be done with it.
    public mutating func passwordRefused(_ error: BrokerError, out: inout ByteBuffer) {
        guard let request = passwordRequest else { return }
        passwordRequest = nil
        answered(request.ticket.rawValue, .refused(error), out: &out)
    }

    /// This stands for the password: submit what is asked with it.
    public mutating func passwordHashed(_ hash: String) -> Submission? {
        guard let request = passwordRequest else { return nil }
        passwordRequest = nil
        return request.command.request(hash: hash).map { Submission(request.ticket, .administer($0)) }
    }
}

extension PasswordCommand {
    /// What is asked of the broker once `hash` stands for the password; `nil` for a login.
    public func request(hash: String) -> UserRequest? {
        switch purpose {
        case .logIn: nil
        case .add(let tags): .add(UserDefinition(user, passwordHash: hash, tags: tags))
        case .change: .setPassword(user, hash: hash)
        case .restore(let hash, let tags): .put(UserDefinition(user, passwordHash: hash, tags: tags))
        }
    }
}

extension LineCommand {
    /// It is taken before a login, too.
    var isForEverybody: Bool {
        switch self {
        case .hello, .ping, .help, .quit: true
        case .password(let command): command.purpose == .logIn
        case .submit, .begin, .commit, .rollback: false
        }
    }
}
