// A socket that whoever started the process has made and listens on already, as systemd's socket units do: clients
// that come while the server is not there yet wait for it.

import Leveret

#if canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#else
private import Darwin
#endif

/// A listening socket that the process was started with.
public struct InheritedSocket: Hashable, Sendable {
    /// Its number. The server closes it when it stops.
    public var descriptor: Int32
    /// Only TLS is spoken on it.
    public var isTLSOnly: Bool

    /// The socket of this number.
    public init(descriptor: Int32, isTLSOnly: Bool = false) {
        self.descriptor = descriptor
        self.isTLSOnly = isTLSOnly
    }

    /// Where it listens. From here on programs that the process starts don't have it.
    ///
    /// - Throws: a `BrokerError` when it is no socket that listens for streams.
    func address() throws(BrokerError) -> ListenAddress {
        guard option(SO_ACCEPTCONN) == 1, option(SO_TYPE) == Self.stream else {
            throw refusal(
                "it is no socket that listens for streams; its unit wants ListenStream= and Accept=no")
        }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let code = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard code == 0 else { throw refusal(String(cString: strerror(errno))) }
        switch Int32(storage.ss_family) {
        case AF_UNIX: return .unix(path: Self.path(storage, Int(length)))
        case AF_INET, AF_INET6:
            guard let (host, port) = Self.hostAndPort(storage, length) else {
                throw refusal("its address can't be read")
            }
            return isTLSOnly ? .tls(host: host, port: port) : .tcp(host: host, port: port)
        default: throw refusal("it is of no kind that is known here; use TCP, or a socket in the file system")
        }
    }

    private static var stream: CInt {
        #if canImport(Darwin)
        SOCK_STREAM
        #else
        CInt(SOCK_STREAM.rawValue)
        #endif
    }

    private func option(_ name: CInt) -> CInt? {
        var value: CInt = 0
        var length = socklen_t(MemoryLayout<CInt>.size)
        return getsockopt(descriptor, SOL_SOCKET, name, &value, &length) == 0 ? value : nil
    }

    private static func path(_ storage: sockaddr_storage, _ length: Int) -> String {
        withUnsafeBytes(of: storage) { bytes in
            let start = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
            let path = bytes[min(start, length)..<min(length, bytes.count)]
            // An abstract name begins with a zero byte, which @ stands for.
            if path.first == 0, path.count > 1 {
                return "@" + String(decoding: path.dropFirst(), as: UTF8.self)
            }
            return String(decoding: path.prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    private static func hostAndPort(
        _ storage: sockaddr_storage, _ length: socklen_t
    ) -> (host: String, port: Int)? {
        var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        var port = [CChar](repeating: 0, count: Int(NI_MAXSERV))
        let code = withUnsafePointer(to: storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getnameinfo(
                    $0, length, &host, socklen_t(host.count), &port, socklen_t(port.count),
                    NI_NUMERICHOST | NI_NUMERICSERV)
            }
        }
        let texts = [host, port].map { text in
            String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
        return code == 0 ? Int(texts[1]).map { (texts[0], $0) } : nil
    }

    private func refusal(_ why: String) -> BrokerError {
        BrokerError(
            .preconditionFailed, "can't listen on socket \(descriptor), which was handed over: \(why)")
    }
}
