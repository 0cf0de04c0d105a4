// Whom a connection comes from, and what it must show before it may ask for anything.

import Leveret
import NIOCore

/// Who has to log in, and how.
public struct LoginRules: Hashable, Sendable {
    /// Clients on this machine must log in, too. They need not otherwise, and may then do everything.
    public var areForLocalClients = false
    /// Passwords are taken over TCP without TLS from other machines, although others can read them on their way.
    public var allowPlainPasswords = false

    /// The defaults: clients on other machines log in, over TLS.
    public init() {}
}

/// The other end of a connection.
struct Peer: Sendable {
    /// Whom listings and the log name.
    private(set) var name: String
    /// It is on this machine.
    let isLocal: Bool
    /// It must log in before it may ask for anything.
    let mustLogIn: Bool
    /// By then it must have, where it must.
    let loginDeadline: NIODeadline
    /// Nobody on the way can read what it says, or nobody minds.
    private(set) var mayShowPassword: Bool
    /// The common name in the certificate that it has shown inside TLS, where it has.
    private(set) var certificateName: String?

    /// - Parameters:
    ///   - isLocal: It is on this machine.
    ///   - now: When it came.
    init(_ name: String, isLocal: Bool, _ rules: LoginRules, _ limits: ServerLimits, now: NIODeadline) {
        self.name = name
        self.isLocal = isLocal
        mustLogIn = !isLocal || rules.areForLocalClients
        mayShowPassword = isLocal || rules.allowPlainPasswords
        loginDeadline = now + .seconds(Int64(limits.loginSeconds))
    }

    /// One on this machine that need not log in.
    static func local(_ name: String) -> Peer {
        Peer(name, isLocal: true, LoginRules(), ServerLimits(), now: .uptimeNanoseconds(0))
    }

    /// The same inside TLS.
    var insideTLS: Peer {
        var peer = self
        peer.name += " tls"
        peer.mayShowPassword = true
        return peer
    }

    /// The same once TLS has verified its certificate, if it has shown one.
    func withCertificate(for name: String?) -> Peer {
        var peer = self
        peer.certificateName = name
        return peer
    }

    /// Whether it may log in as this user, with the right password: `guest`, whose password everybody knows in a new
    /// RabbitMQ, may from this machine only (RabbitMQ: `loopback_users`).
    func mayBe(_ user: UserName) -> Bool { isLocal || user != .guest }

    /// What everything but a login is refused with; `nil` where it need not log in.
    var loginRefusal: BrokerError? {
        guard mustLogIn else { return nil }
        let how =
            mayShowPassword
            ? "AUTH user password"
            : "connect with TLS, then AUTH user password; without TLS the server takes none (serve --allow-plain-auth)"
        return BrokerError(.accessRefused, "log in first: \(how)")
    }

    /// True for an address of this machine that others can't have: 127.0.0.0/8 and ::1, and for none at all, as sockets
    /// in the file system have it.
    static func isLocal(_ address: SocketAddress?) -> Bool {
        guard let address else { return true }
        if case .unixDomainSocket = address { return true }
        guard let ip = address.ipAddress else { return false }
        return ip.hasPrefix("127.") || ip == "::1" || ip.hasPrefix("::ffff:127.")
    }
}

extension UserName {
    /// RabbitMQ's first user.
    static let guest: UserName = "guest"
}
