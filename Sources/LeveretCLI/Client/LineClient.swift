// A connection to a server's line protocol: one socket, no threads. Requests gather in a buffer and leave
// together; replies are read in order. While it writes it also reads, so neither side can wait for the other. With
// TLS, what is sent and received goes through a TLSTalk on its way.

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// A client that sends requests and takes their replies, in order.
final class LineClient {
    /// Whom it talks to.
    let server: ServerAddress
    private let socket: CInt
    /// What ciphers, where the server is spoken to so.
    private let tls: TLSTalk?
    private var outgoing: [UInt8] = []
    private var incoming: [UInt8] = []
    /// What has been read of `incoming`.
    private var read = 0
    /// The other end takes and gives nothing more; what it said before may still be unread.
    private var isClosed = false
    /// The last `NOTE` that the server pushed, such as why it will close.
    private var note: String?
    /// Bytes that a body may have, as the server's greeting says.
    private(set) var bodyBytesMax = Int.max

    /// Gathered requests leave at this many bytes.
    private static let outgoingBytesMax = 64 << 10
    private static let greetingMilliseconds: CInt = 5000
    /// So many milliseconds of silence are waited for; -1 is for ever.
    private let patience: CInt
    /// A greeting is short; whoever says more before it ends a line is no Leveret server.
    private static let greetingBytesMax = 4096

    /// Connects, and makes sure that a Leveret server answers.
    ///
    /// - Parameter patience: how many milliseconds of silence are waited for; -1 is for ever.
    /// - Throws: `Failure` with `.unreachable` when none does within 5 seconds, or within `patience`.
    init(_ server: ServerAddress, patience: CInt = -1) throws(Failure) {
        self.server = server
        self.patience = patience
        var tls: TLSTalk?
        if case .tls(let host, _) = server {
            tls = try TLSTalk(host: host, authorityPath: Terminal.environment("LEVERET_CA"))
        }
        self.tls = tls
        socket = try Self.connect(to: server, milliseconds: Self.greeting(within: patience))
        if let tls { try shakeHands(tls) }
        send(LineRequest("HELLO").option("name", "leveret"))
        try flush()
        try greet()
    }

    deinit { close(socket) }

    private static func greeting(within patience: CInt) -> CInt {
        patience < 0 ? greetingMilliseconds : min(patience, greetingMilliseconds)
    }

    /// Gathers a request.
    func send(_ request: LineRequest) { request.append(to: &outgoing) }

    /// Gathers a request with a body.
    func send(_ request: LineRequest, body: some Collection<UInt8>) {
        request.append(to: &outgoing, body: body)
    }

    /// Gathers bytes that are requests already, and sends what has gathered when that is much.
    func send(gathering append: (inout [UInt8]) throws(Failure) -> Void) throws(Failure) {
        try append(&outgoing)
        if outgoing.count >= Self.outgoingBytesMax { try flush() }
    }

    /// Sends all that has gathered. Where the server has closed, `receive` says so, after its last words.
    func flush() throws(Failure) {
        var sent = 0
        if let tls { outgoing = tls.ciphered(outgoing) }
        while sent < outgoing.count, !isClosed {
            let count = outgoing.withUnsafeBytes { bytes in
                Self.write(socket, UnsafeRawBufferPointer(rebasing: bytes[sent...]))
            }
            if count >= 0 {
                sent += count
            } else if errno == EAGAIN {
                // The server may be waiting for us to read its replies.
                if try wait(for: CShort(POLLIN | POLLOUT), milliseconds: patience) & CShort(POLLIN) != 0 {
                    _ = fill()
                }
            } else if errno != EINTR {
                isClosed = true
            }
        }
        outgoing.removeAll(keepingCapacity: true)
    }

    /// Sends one request and returns what its `OK` says.
    ///
    /// - Throws: `Failure` with the server's words when it refuses.
    @discardableResult
    func ask(_ request: LineRequest, body: [UInt8]? = nil) throws(Failure) -> String {
        if let body { send(request, body: body) } else { send(request) }
        try flush()
        switch try receive() {
        case .done(let text): return text
        case .refused(let refusal): throw Failure(refusal)
        case .nothing, .message, .row, .text, .push: throw outOfStep()
        }
    }

    /// Sends one request that is answered by rows, and hands each over as it comes.
    func rows(_ request: LineRequest, each: (JSON) throws -> Void) throws {
        send(request)
        try flush()
        while true {
            switch try receive() {
            case .row(let row): try each(row)
            case .done: return
            case .refused(let refusal): throw Failure(refusal)
            case .nothing, .message, .text, .push: throw outOfStep()
            }
        }
    }

    /// The next reply; pushes, which answer nothing, are left out.
    func receive() throws(Failure) -> Reply {
        while true {
            let line = try nextLine()
            guard let (reply, bodyBytes) = Reply.parse(incoming[line]) else {
                throw outOfStep(String(decoding: incoming[line].prefix(80), as: UTF8.self))
            }
            if case .push(let text) = reply {
                if text.hasPrefix("NOTE ") { note = String(text.dropFirst(5)) }
                continue
            }
            guard case .message(var message) = reply, let bodyBytes else { return reply }
            message.body = try nextBody(bodyBytes)
            return .message(message)
        }
    }

    /// What replies are read from, to wait for it together with others.
    var descriptor: CInt { socket }

    /// The next reply or push that has come; `nil` where all of it is not here yet.
    func receiveIfHere() throws(Failure) -> Reply? {
        while true {
            if let reply = try nextIfHere() { return reply }
            guard Input.isReady(socket) else { return nil }
            if let why = fill() { throw lost(why) }
        }
    }

    /// Waits until more has come.
    func waitForMore() throws(Failure) { try fillBlocking() }

    /// Something came that is no answer to what was asked.
    func outOfStep(_ line: String? = nil) -> Failure {
        let what = line.map { "'\($0)'" } ?? "something else than was asked"
        return Failure(
            .unreachable,
            "\(server) answered \(what.printable): it is no Leveret server, or another version; name yours with "
                + "--url leveret://host:port"
        )
    }
}

// MARK: - Reading

extension LineClient {
    /// Where the next line stands in `incoming`, without its end.
    private func nextLine() throws(Failure) -> Range<Int> {
        var searched = read
        while true {
            if let end = incoming[searched...].firstIndex(of: .lineFeed) {
                let start = read
                read = end + 1
                return start..<(end > start && incoming[end - 1] == 0x0D ? end - 1 : end)
            }
            searched = incoming.count
            let before = read
            try fillBlocking()
            searched -= before - read
        }
    }

    /// The next reply or push in `incoming`, if it is there to its end.
    private func nextIfHere() throws(Failure) -> Reply? {
        guard let end = incoming[read...].firstIndex(of: .lineFeed) else { return nil }
        let line = incoming[read..<(end > read && incoming[end - 1] == 0x0D ? end - 1 : end)]
        guard let (reply, bodyBytes) = Reply.parse(line) else {
            throw outOfStep(String(decoding: line.prefix(80), as: UTF8.self))
        }
        if case .message(var message) = reply, let bodyBytes {
            guard incoming.count - end - 1 > bodyBytes else { return nil }
            read = end + 1
            message.body = try nextBody(bodyBytes)
            return .message(message)
        }
        if case .push(let text) = reply, text.hasPrefix("NOTE ") { note = String(text.dropFirst(5)) }
        read = end + 1
        return reply
    }

    private func nextBody(_ count: Int) throws(Failure) -> [UInt8] {
        while incoming.count - read < count + 1 { try fillBlocking() }
        let body = Array(incoming[read..<read + count])
        read += count
        if incoming[read] == 0x0D { read += 1 }
        while incoming.count == read { try fillBlocking() }
        guard incoming[read] == .lineFeed else { throw outOfStep("a body longer than announced") }
        read += 1
        return body
    }

    private func fillBlocking() throws(Failure) {
        _ = try wait(for: CShort(POLLIN), milliseconds: patience)
        if let why = fill() { throw lost(why) }
    }

    /// Reads what is there; the caller knows that something is. Returns why nothing more will come.
    private func fill() -> String? {
        if read == incoming.count {
            incoming.removeAll(keepingCapacity: true)
            read = 0
        } else if read > 256 << 10 {
            incoming.removeSubrange(..<read)
            read = 0
        }
        var problem: String?
        let count = withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 16) { buffer in
            let count = recv(socket, buffer.baseAddress, buffer.count, 0)
            guard count > 0 else { return count }
            if let tls {
                problem = tls.take(UnsafeRawBufferPointer(rebasing: buffer[..<count]), into: &incoming)
            } else {
                incoming.append(contentsOf: buffer[..<count])
            }
            return count
        }
        if let problem {
            isClosed = true
            return problem
        }
        if count > 0 || count < 0 && (errno == EAGAIN || errno == EINTR) { return nil }
        isClosed = true
        return count == 0 ? "the server closed it" : Self.reason(errno)
    }

    /// Waits until the socket can be read or written, and returns which.
    @discardableResult
    private func wait(for events: CShort, milliseconds: CInt) throws(Failure) -> CShort {
        var entry = pollfd(fd: socket, events: events, revents: 0)
        while true {
            let count = poll(&entry, 1, milliseconds)
            if count > 0 { return entry.revents & events == 0 ? CShort(POLLIN) : entry.revents }
            if count == 0 { throw silent }
            if errno != EINTR { throw lost(Self.reason(errno)) }
        }
    }

    /// Lets both sides say what TLS wants said before anything else.
    private func shakeHands(_ tls: TLSTalk) throws(Failure) {
        try flush()
        while !tls.isReady {
            _ = try wait(for: CShort(POLLIN), milliseconds: Self.greeting(within: patience))
            let problem = fill()
            try flush()
            if let problem { throw Failure(.unreachable, "no TLS with \(server): \(problem)") }
        }
    }

    private func greet() throws(Failure) {
        while !incoming.contains(.lineFeed) {
            _ = try wait(for: CShort(POLLIN), milliseconds: Self.greeting(within: patience))
            if let why = fill() { throw lost(why) }
            if incoming.count > Self.greetingBytesMax { throw outOfStep() }
        }
        switch try receive() {
        case .done(let text) where text.hasPrefix("leveret "):
            for word in text.split(separator: " ") where word.hasPrefix("max-body=") {
                bodyBytesMax = Int(word.dropFirst(9)) ?? .max
            }
        case .refused(let refusal): throw Failure(refusal)
        case .done, .nothing, .message, .row, .text, .push: throw outOfStep()
        }
    }

    private func lost(_ why: String) -> Failure {
        let why = note.map { "\(why) (it said: \($0.printable))" } ?? why
        return Failure(
            .unreachable,
            "the connection to \(server) was lost: \(why); its log says more, try again when it is up"
        )
    }

    private var silent: Failure {
        Failure(
            .unreachable,
            "\(server) takes connections but doesn't answer; see whether that is a Leveret server, or name another "
                + "with --url leveret://host:port"
        )
    }
}

// MARK: - The socket

extension LineClient {
    private static func connect(to server: ServerAddress, milliseconds: CInt) throws(Failure) -> CInt {
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

    private static func write(_ descriptor: CInt, _ bytes: UnsafeRawBufferPointer) -> Int {
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
