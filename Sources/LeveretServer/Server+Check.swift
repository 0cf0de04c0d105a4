// Whether a server could start, before there is a broker for it: who makes a new database wants to know that first.

public import Leveret
import NIOCore

extension Server {
    /// Looks whether a server with this configuration could start now. Nobody can connect meanwhile.
    ///
    /// - Throws: the `BrokerError` that `start()` would throw, for an address that can't be had or a certificate that
    ///   is no good.
    public static func check(_ configuration: ServerConfiguration) throws(BrokerError) {
        if let tls = configuration.tls { try TLSIdentity().read(tls) }
        // What was handed over is bound.
        for address in configuration.addresses where configuration.inheritedSockets.isEmpty {
            switch address {
            case .tls where configuration.tls == nil: throw noCertificate(address)
            case .tcp(let host, let port), .tls(let host, let port):
                do {
                    try FileDescriptors.bind(to: .makeAddressResolvingHost(host, port: port))
                } catch {
                    throw refusal(address, error)
                }
            case .unix(let path):
                try UnixSocket(path: path, mode: configuration.unixSocketMode).discard()
            }
        }
    }
}
