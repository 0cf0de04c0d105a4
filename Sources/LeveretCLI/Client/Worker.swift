// One run of the command of `consume --exec`: a message on its standard input and in its environment, and what it says
// on standard error. It decides nothing about the message.

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// A command at work on a message.
struct Worker {
    /// Bytes of standard error that are kept.
    static let errorBytesMax = 1024
    /// Bytes of what the environment says of a message; the system has no room for much more.
    private static let variablesBytesMax = 64 << 10
    /// What a message's own variables are called: those that a command around this one has left are none of it.
    private static let names: Set<String> = [
        "REDELIVERED", "DELIVERIES", "POSITION", "ID", "PRIORITY", "TYPE", "REPLY_TO", "CORRELATION_ID",
        "CONTENT_TYPE", "CONTENT_ENCODING", "USER_ID", "APP_ID", "CLUSTER_ID", "TIMESTAMP", "TTL",
    ]
    /// Reads of standard error in one turn: the others and the server wait meanwhile.
    private static let readsMax = 16

    /// What it works on.
    let message: Delivered
    /// Where its standard error is read.
    let errors: CInt
    /// It may still say something.
    private(set) var isTalking = true
    private let program: ChildProgram
    private var said: [UInt8] = []

    /// Starts `line` with the message.
    init(_ line: String, on message: Delivered) throws(Failure) {
        self.message = message
        let body = try Self.file(holding: message.body)
        defer { close(body) }
        let (reading, writing) = try Pipe.make()
        defer { close(writing) }
        do {
            program = try ChildProgram(
                shell: line, variables: Self.variables(of: message), without: Self.isOfMessage,
                streams: [body, 1, writing], group: .own)
        } catch {
            close(reading)
            throw error
        }
        errors = reading
    }

    /// Takes what it said on standard error, and says it, too; of one that talks without end, 1 MiB at a time.
    mutating func listen() {
        for _ in 0..<Self.readsMax where isTalking {
            guard let bytes = Pipe.take(from: errors) else {
                isTalking = false
                return
            }
            if bytes.isEmpty { return }
            Terminal.write(bytes, to: Terminal.standardError)
            said += bytes
            if said.count > Self.errorBytesMax { said.removeFirst(said.count - Self.errorBytesMax) }
        }
    }

    /// How it has ended; `nil` while it runs. Then nothing else may be asked of it.
    mutating func endIfAny() -> ChildProgram.End? {
        guard let end = program.endIfAny() else { return nil }
        listen()
        close(errors)
        return end
    }

    /// Tells it, and what it has started, to end.
    func stop() { program.signal(SIGTERM, group: .own) }

    /// What becomes of the message.
    func settlement(_ end: ChildProgram.End) -> (request: LineRequest, settled: Subscription.Settled) {
        let reject = LineRequest("REJECT").argument(message.tag)
        switch end {
        case .exited(0): return (LineRequest("ACK").argument(message.tag), .acked)
        case .exited(75): return (reject.word("requeue").option("error", error(end)), .retried)
        case .exited, .killed: return (reject.option("error", error(end)), .rejected)
        }
    }

    /// The end of what it said, or else how it ended; at most 1,024 bytes.
    private func error(_ end: ChildProgram.End) -> String {
        var text = Substring(String(decoding: said, as: UTF8.self))
        while let last = text.last, last.isNewline { text.removeLast() }
        if text.isEmpty {
            switch end {
            case .exited(let status): text = "exit status \(status)"
            case .killed(let signal): text = "killed by signal \(signal)"
            }
        }
        // Cut bytes became longer marks.
        while text.utf8.count > Self.errorBytesMax { text.removeFirst() }
        return String(text)
    }

    /// The message for the command's environment: `LEVERET_QUEUE`, `LEVERET_HEADER_…` and so on.
    static func variables(of message: Delivered) -> [(name: String, value: String)] {
        var variables = [
            ("LEVERET_QUEUE", message.queue), ("LEVERET_EXCHANGE", message.exchange),
            ("LEVERET_KEY", message.key),
        ]
        var taken = Set(variables.map(\.0))
        var room = variablesBytesMax
        for (name, value) in message.options where name != "sub" {
            let variable =
                name.hasPrefix("h.")
                ? "LEVERET_HEADER_" + sanitised(name.dropFirst(2)) : "LEVERET_" + sanitised(name[...])
            let text = value.text ?? value.compact
            // The system bounds all of them together, and takes none with a NUL in it.
            let bytes = variable.utf8.count + text.utf8.count
            guard text.utf8.count <= 32 << 10, bytes <= room, !text.utf8.contains(0),
                taken.insert(variable).inserted
            else { continue }
            room -= bytes
            variables.append((variable, text))
        }
        return variables.map { (name: $0.0, value: $0.1) }
    }

    private static func isOfMessage(_ variable: String) -> Bool {
        guard variable.hasPrefix("LEVERET_") else { return false }
        let name = String(variable.dropFirst(8))
        return name.hasPrefix("HEADER_") || names.contains(name)
    }

    /// A name as the shell takes it: capitals, digits and `_`.
    private static func sanitised(_ name: Substring) -> String {
        let bytes = name.utf8.map { byte -> UInt8 in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - 0x20
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): byte
            default: UInt8(ascii: "_")
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// A file without a name that holds the bytes, to be read from its beginning.
    private static func file(holding bytes: [UInt8]) throws(Failure) -> CInt {
        let file = try TemporaryFile(holding: bytes)
        unlink(file.path)
        return file.descriptor
    }
}
