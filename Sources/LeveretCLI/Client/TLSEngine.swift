// TLS for the blocking client: NIO's TLS handler on a channel without a socket. Plain bytes go in and ciphered ones
// come out, and the other way round; LineClient moves them.

import NIOCore
import NIOEmbedded
import NIOSSL
import NIOTLS

/// One TLS connection, as seen by the client.
final class TLSEngine {
    /// Notes that the server has shown who it is.
    private final class Greeter: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        var isDone = false

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case TLSUserEvent.handshakeCompleted = event { isDone = true }
            context.fireUserInboundEventTriggered(event)
        }
    }

    /// The other end has said all that it will.
    static let closedByServer = "the server closed it"

    private let channel = EmbeddedChannel()
    private let greeter = Greeter()

    /// Begins to talk to `host`, which must show a certificate for that name.
    ///
    /// - Parameter authorityPath: Who signs it, in PEM; `nil` is whom this system trusts.
    /// - Throws: `Failure` when the authority's file is no good.
    init(host: String, authorityPath: String?) throws(Failure) {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        if let authorityPath { configuration.trustRoots = try Self.authority(authorityPath) }
        do {
            let context = try NIOSSLContext(configuration: configuration)
            // Of an address the certificate is checked too, but it is no name to ask for.
            let address = try? SocketAddress(ipAddress: host, port: 0)
            let handler = try NIOSSLClientHandler(
                context: context, serverHostname: address == nil ? host : nil)
            try channel.pipeline.syncOperations.addHandlers([handler, greeter])
            channel.connect(to: try address ?? SocketAddress(ipAddress: "0.0.0.0", port: 0), promise: nil)
        } catch {
            throw Failure(.usage, "TLS can't be set up: \(error)")
        }
    }

    /// The certificates of whom LEVERET_CA names.
    private static func authority(_ path: String) throws(Failure) -> NIOSSLTrustRoots {
        let bytes: [UInt8]
        do { bytes = try Input.start(of: path, bytesMax: 1 << 20) } catch {
            throw Failure(error.status, "LEVERET_CA: \(error.text)")
        }
        let found = try? NIOSSLCertificate.fromPEMBytes(bytes)  // what is wrong, the library doesn't say
        guard let found, !found.isEmpty else {
            throw Failure(
                .refused,
                "LEVERET_CA: '\(path.printable)' holds no certificate in PEM; name the file of the authority that has "
                    + "signed the server's")
        }
        return .certificates(found)
    }

    // A channel and its handlers hold each other until it is closed. The other end's word on that is not waited for.
    deinit {
        channel.close(promise: nil)
        channel.embeddedEventLoop.advanceTime(by: .seconds(60))
    }

    /// True once both sides are sure of each other.
    var isReady: Bool { greeter.isDone }

    /// What to send for these bytes, and whatever else the protocol has to say.
    func ciphered(_ bytes: [UInt8]) -> [UInt8] {
        if !bytes.isEmpty { channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil) }
        var ciphered: [UInt8] = []
        // What it can't write any more, the next read tells.
        while let buffer = try? channel.readOutbound(as: ByteBuffer.self) {
            ciphered.append(contentsOf: buffer.readableBytesView)
        }
        return ciphered
    }

    /// Appends what these bytes mean. Returns why nothing more will come, where that is so.
    func take(_ bytes: UnsafeRawBufferPointer, into plain: inout [UInt8]) -> String? {
        do {
            try channel.writeInbound(ByteBuffer(bytes: bytes))
            while let buffer = try channel.readInbound(as: ByteBuffer.self) {
                plain.append(contentsOf: buffer.readableBytesView)
            }
            return channel.isActive ? nil : Self.closedByServer
        } catch {
            return Self.reason(error)
        }
    }

    private static func reason(_ error: any Error) -> String {
        let text = "\(error)"
        if text.contains("CERTIFICATE_VERIFY_FAILED") {
            return
                "its certificate is signed by nobody this system trusts; name the authority's file in LEVERET_CA"
        }
        if text.contains("WRONG_VERSION_NUMBER") {
            return "it does not speak TLS there (use leveret://), or it is full; see its log"
        }
        if text.contains("ALERT_HANDSHAKE_FAILURE") {
            return
                "it has no TLS that suits this client, or no certificate at all (use leveret://); see its log"
        }
        if text.contains("ALERT_CERTIFICATE_REQUIRED") {
            return
                "it wants a certificate of its clients (tls-clients), and this command can't show one: use another "
                + "address of it, such as a socket file (unix:PATH)"
        }
        if text.contains("ALERT_PROTOCOL_VERSION") {
            return "it wants a newer TLS than this command speaks (tls-min)"
        }
        if text.contains("Hostname") || text.contains("hostname") {
            return "its certificate is for another name"
        }
        // The library's own word, without where in its sources it was said.
        let word = text.firstMatch(of: /SSL routines:\w+:(\w+)/)?.1
        return word.map { $0.lowercased().split(separator: "_").joined(separator: " ") } ?? text
    }
}
