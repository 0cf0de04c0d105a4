// The socket of a LineClient: found, connected within a time, and written to. It knows nothing of what is said.

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

extension LineClient {
    /// A connected socket that never blocks.
    ///
    /// - Parameter milliseconds: how long each address is tried.
    /// - Throws: `Failure` with `.unreachable`.
    static func connect(to server: ServerAddress, milliseconds: CInt) throws(Failure) -> CInt {
        switch server {
        case .tcp(let host, let port), .tls(let host, let port):
            return try connect(to: host, port, of: server, milliseconds: milliseconds)
        case .unix(let path):
            let descriptor = connect(toFile: path, milliseconds: milliseconds)
            if descriptor < 0 { throw absent(server, -descriptor) }
            return descriptor
        }
    }

    /// A connected socket that never blocks, or the negated `errno`.
    private static func connect(toFile path: String, milliseconds: CInt) -> CInt {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else { return -ENAMETOOLONG }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        #if canImport(Darwin)
        let type = SOCK_STREAM
        #else
        let type = CInt(SOCK_STREAM.rawValue)
        #endif
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(
                    AF_UNIX, type, 0, $0, socklen_t(MemoryLayout<sockaddr_un>.size),
                    milliseconds: milliseconds)
            }
        }
    }

    private static func connect(
        to host: String, _ port: UInt16, of server: ServerAddress, milliseconds: CInt
    ) throws(Failure) -> CInt {
        var hints = addrinfo()
        #if canImport(Darwin)
        hints.ai_socktype = SOCK_STREAM
        #else
        hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        #endif
        hints.ai_flags = AI_ADDRCONFIG
        var found: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &found)
        guard code == 0 else {
            throw Failure(
                .unreachable,
                "the host '\(host.printable)' is unknown: \(String(cString: gai_strerror(code))); check --url "
                    + "and LEVERET_URL"
            )
        }
        defer { freeaddrinfo(found) }
        var lastError: CInt = 0
        var next = found
        while let address = next {
            let entry = address.pointee
            next = entry.ai_next
            let descriptor = connect(
                entry.ai_family, entry.ai_socktype, entry.ai_protocol, entry.ai_addr, entry.ai_addrlen,
                milliseconds: milliseconds)
            if descriptor >= 0 { return descriptor }
            lastError = -descriptor
        }
        throw absent(server, lastError)
    }

    private static func absent(_ server: ServerAddress, _ code: CInt) -> Failure {
        Failure(
            .unreachable,
            "no server answers at \(server): \(reason(code)); start one with 'leveret serve', or name another"
                + " with --url leveret://host:port"
        )
    }

    /// A connected socket that never blocks, or the negated `errno`.
    private static func connect(
        _ family: CInt, _ type: CInt, _ kind: CInt, _ address: UnsafePointer<sockaddr>?, _ length: socklen_t,
        milliseconds: CInt
    ) -> CInt {
        let descriptor = makeSocket(family, type, kind)
        if descriptor < 0 { return -errno }
        var one: CInt = 1
        // A socket in the file system has no such option, and needs none.
        setsockopt(descriptor, CInt(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<CInt>.size))
        #if canImport(Darwin)
        setsockopt(descriptor, SOL_SOCKET, SO_NOSIGPIPE, &one, socklen_t(MemoryLayout<CInt>.size))
        #endif
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)  // programs that a command starts don't have it
        if openConnection(descriptor, address, length) == 0 { return descriptor }
        var problem = errno
        if problem == EINPROGRESS {
            var entry = pollfd(fd: descriptor, events: CShort(POLLOUT), revents: 0)
            var size = socklen_t(MemoryLayout<CInt>.size)
            problem = poll(&entry, 1, milliseconds) == 1 ? 0 : ETIMEDOUT
            if problem == 0 { getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &problem, &size) }
            if problem == 0 { return descriptor }
        }
        close(descriptor)
        return -problem
    }

    /// Sends what the socket takes now.
    static func write(_ descriptor: CInt, _ bytes: UnsafeRawBufferPointer) -> Int {
        #if canImport(Darwin)
        Darwin.send(descriptor, bytes.baseAddress, bytes.count, 0)
        #else
        Glibc.send(descriptor, bytes.baseAddress, bytes.count, CInt(MSG_NOSIGNAL))
        #endif
    }

    private static func makeSocket(_ family: CInt, _ type: CInt, _ kind: CInt) -> CInt {
        #if canImport(Darwin)
        Darwin.socket(family, type, kind)
        #else
        Glibc.socket(family, type, kind)
        #endif
    }

    private static func openConnection(
        _ descriptor: CInt,
        _ address: UnsafePointer<sockaddr>?,
        _ length: socklen_t
    ) -> CInt {
        #if canImport(Darwin)
        Darwin.connect(descriptor, address, length)
        #else
        Glibc.connect(descriptor, address, length)
        #endif
    }

    /// The system's sentence for an `errno`, lower case.
    static func reason(_ code: CInt) -> String {
        let text = String(cString: strerror(code))
        return text.prefix(1).lowercased() + text.dropFirst()
    }
}
