// A line session with a broker that answers by rote, for transcripts.

import LeveretCore
import LeveretWire
import NIOCore

/// Drives a `LineSession`: text in, text out. Requests are kept; `answer` replies to them.
struct Talk {
    var session: LineSession
    var submissions: [Submission] = []
    /// Answers every request at once when set.
    var answersAtOnce = true

    /// Passwords that came; they are right where they are "right", and hashed to their letters backwards.
    var passwords: [PasswordCommand] = []

    init(limits: LineLimits = LineLimits(), loginRefusal: BrokerError? = nil) {
        session = LineSession(limits: limits, version: "0.0", loginRefusal: loginRefusal)
    }

    /// Sends bytes and returns what comes back.
    mutating func send(_ bytes: [UInt8]) -> String {
        session.received(ByteBuffer(bytes: bytes))
        return run()
    }

    mutating func send(_ text: String) -> String { send(Array(text.utf8)) }

    mutating func run() -> String {
        var out = ByteBuffer()
        var progress = LineSession.Progress.batchFull
        while progress == .batchFull || progress == .password {
            if progress == .password { seeToPassword(&out) }
            var batch: [Submission] = []
            progress = session.decode(into: &batch, out: &out)
            submissions += batch
            if answersAtOnce {
                session.heard(batch.map { .answer($0.ticket, Self.answer($0.request)) }, out: &out)
                if progress == .blocked, !batch.isEmpty { progress = .batchFull }
            }
        }
        return String(buffer: out)
    }

    private mutating func seeToPassword(_ out: inout ByteBuffer) {
        guard let command = session.passwordRequest?.command else { return }
        passwords.append(command)
        let password = String(decoding: command.password, as: UTF8.self)
        if command.purpose != .logIn {
            guard let submission = session.passwordHashed(String(password.reversed())) else { return }
            submissions.append(submission)
            session.heard([.answer(submission.ticket, .done)], out: &out)
        } else if password == "right" {
            session.loggedIn(out: &out)
        } else {
            session.passwordRefused(.wrongLogin, out: &out)
        }
    }

    /// Hands over what the broker says.
    mutating func hear(_ events: SessionEvent...) -> String {
        var out = ByteBuffer()
        session.heard(events, out: &out)
        return String(buffer: out)
    }

    private static func answer(_ request: Request) -> Answer {
        switch request {
        case .publish, .restore: .routed(1)
        case .get: .empty
        case .consume(let consume): .consuming(consume.tag ?? "made-up")
        case .declareQueue(let queue, _): .declared(queue.name, ready: 0, consumers: 0)
        case .purge, .move, .deleteQueue: .count(7)
        case .peek: .messages([])
        case .transaction(let requests): .committed(requests.map { _ in 1 })
        case .list, .status, .why, .route: .routes([])
        default: .done
        }
    }
}

/// Everything a request says, as text that tells two of them apart.
func described(_ value: some Any) -> String {
    var text = ""
    dump(value, to: &text)
    return text
}
