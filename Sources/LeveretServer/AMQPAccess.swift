// Who may use the broker over AMQP, in one place: the handler asks here, and knows nothing of users itself.

import Leveret
import LeveretWire
import NIOCore

enum AMQPAccess {
    /// The one user there is, with this password, as in a new RabbitMQ; only from this machine.
    private static let guest = "guest"
    /// The one virtual host there is.
    private static let host = "/"

    /// Why this login is refused, for the log; `nil` where it is not.
    static func refusal(of login: AMQPLogin, from address: SocketAddress?) -> String? {
        guard login.user == guest, login.password == guest else { return "no such user or another password" }
        return isOfThisMachine(address) ? nil : "user '\(guest)' may connect from this machine only"
    }

    /// Why the user may not use this virtual host; `nil` where it may.
    static func refusal(ofHost name: String, to user: String) -> BrokerError? {
        name == host ? nil : BrokerError(.notAllowed, "vhost \(name) not found")
    }

    private static func isOfThisMachine(_ address: SocketAddress?) -> Bool {
        if case .unixDomainSocket? = address { return true }
        guard let text = address?.ipAddress else { return false }
        return text == "::1" || text.hasPrefix("127.") || text.hasPrefix("::ffff:127.")
    }
}
