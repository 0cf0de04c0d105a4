// The smallest client of the line protocol: enough for tests that drive a server over a real socket, and
// written apart from the product's own parser so that the two check each other.

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// What a server said: a line, and the bytes that belong to it.
package struct LineReply: Sendable, Hashable, CustomStringConvertible {
    /// The line without its end.
    package var line: String
    /// The bytes that a line ending in `{N}` announced.
    package var body: [UInt8]?

    /// The line's words. Quoted names with spaces in them are not taken together.
    package var words: [Substring] { line.split(separator: " ") }

    /// The line and its body as text.
    package var description: String { line + (body.map { "\n" + String(decoding: $0, as: UTF8.self) } ?? "") }

    /// The value of the option `name`, as in `position=7`.
    package subscript(name: String) -> Substring? {
        words.first { $0.hasPrefix(name + "=") }?.dropFirst(name.utf8.count + 1)
    }
}

/// Why a socket could not be used.
package struct SocketFailure: Error, CustomStringConvertible {
    /// What failed and what the system said.
    package let description: String

    /// A failure that says this.
    package init(description: String) { self.description = description }
}

/// A connection to a server on this machine that never blocks on its own: what is said gathers until
/// `exchange` moves bytes. One thread may drive many of them with `wait(for:)`.
package final class LineSocket {
    private let descriptor: Int32
    private var output: [UInt8] = []
    private var input: [UInt8] = []
    private var consumed = 0
    /// False once the server has closed the connection or gone away.
    package private(set) var isOpen = true

    /// Connects to `port` on 127.0.0.1.
    package init(port: UInt16) throws {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        descriptor = try Self.connected(AF_INET, to: &address, "port \(port)")
        var yes: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Connects to the socket at `path`.
    package init(path: String) throws {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { bytes in
            bytes.copyBytes(from: path.utf8.prefix(bytes.count - 1))
        }
        descriptor = try Self.connected(AF_UNIX, to: &address, path)
    }

    private static func connected<Address>(
        _ family: Int32, to address: inout Address, _ name: String
    ) throws -> Int32 {
        #if canImport(Glibc)
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        #else
        let descriptor = socket(family, SOCK_STREAM, 0)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        #endif
        guard descriptor >= 0 else { throw failure("socket") }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<Address>.size))
            }
        }
        guard result == 0 else {
            let failure = failure("connect to \(name)")
            close(descriptor)
            throw failure
        }
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        return descriptor
    }

    deinit { close(descriptor) }

    /// Adds a request to what will be sent; with a body, its length is added to the line.
    package func say(_ request: String, body: [UInt8]? = nil) {
        output += request.utf8
        if let body { output += " {\(body.count)}\n".utf8 + body }
        output.append(UInt8(ascii: "\n"))
    }

    /// Adds text to what will be sent, as it is: half a line, or no request at all.
    package func sayRaw(_ text: String) { output += text.utf8 }

    /// Adds bytes to what will be sent, as they are.
    package func sayRaw(_ bytes: [UInt8]) { output += bytes }

    /// Takes all bytes that have come, for who understands them in another way than as lines.
    package func takeBytes() -> [UInt8] {
        defer {
            input = []
            consumed = 0
        }
        return Array(input[consumed...])
    }

    /// Sends and receives what can be moved without waiting.
    package func exchange() {
        sendWhatGoes()
        receiveWhatCame()
    }

    /// Sends what can be sent without waiting, and receives nothing: a client that does not read.
    package func sendWhatGoes() {
        while isOpen, !output.isEmpty {
            let count = output.withUnsafeBytes {
                send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { break }
            output.removeFirst(count)
        }
    }

    private func receiveWhatCame() {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while isOpen {
            let count = chunk.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
            guard count > 0 else {
                if count == 0 || (errno != EAGAIN && errno != EINTR) { isOpen = false }
                break
            }
            input += chunk[..<count]
        }
    }

    /// The next thing the server said that has fully arrived.
    package func next() -> LineReply? {
        guard let end = input[consumed...].firstIndex(of: UInt8(ascii: "\n")) else {
            input.removeFirst(consumed)
            consumed = 0
            return nil
        }
        let line = String(decoding: input[consumed..<end], as: UTF8.self)
        guard line.hasPrefix("MSG ") || line.hasPrefix("#"), line.hasSuffix("}"),
            let brace = line.lastIndex(of: "{"), let count = Int(line[brace...].dropFirst().dropLast())
        else {
            consumed = end + 1
            return LineReply(line: line, body: nil)
        }
        guard input.count > end + 1 + count else { return nil }
        consumed = end + 1 + count + 1
        return LineReply(line: line, body: Array(input[(end + 1)..<(end + 1 + count)]))
    }

    /// Waits for the next thing the server says; `nil` when it has closed the connection. Throws when
    /// nothing comes for a minute.
    package func waitForNext() throws -> LineReply? {
        while true {
            exchange()
            if let reply = next() { return reply }
            if !isOpen { return nil }
            try Self.wait(for: [self])
        }
    }

    /// Says one request and waits for what comes next; throws when the connection closes instead.
    package func ask(_ request: String, body: [UInt8]? = nil) throws -> LineReply {
        say(request, body: body)
        guard let reply = try waitForNext() else {
            throw SocketFailure(
                description: "the server closed the connection instead of answering '\(request)'")
        }
        return reply
    }

    /// Blocks until one of the open sockets can receive, or send what it has to. Throws when none can for a
    /// minute: the server hangs.
    package static func wait(for sockets: [LineSocket]) throws {
        var descriptors = sockets.filter(\.isOpen).map { socket in
            let events = Int32(POLLIN) | (socket.output.isEmpty ? 0 : Int32(POLLOUT))
            return pollfd(fd: socket.descriptor, events: Int16(events), revents: 0)
        }
        guard !descriptors.isEmpty else { return }
        if poll(&descriptors, nfds_t(descriptors.count), 60_000) == 0 {
            throw SocketFailure(description: "the server said nothing for a minute")
        }
    }

    private static func failure(_ what: String) -> SocketFailure {
        SocketFailure(description: "\(what): \(String(cString: strerror(errno)))")
    }
}
