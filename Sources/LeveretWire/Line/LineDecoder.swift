// Bytes to requests: finds lines and bodies in what the socket brings, in any pieces, and has them parsed.
// LineSession owns it. Lines of the common shapes (PUB without options, ACK) are understood in place, without
// tokens; every other goes through LineTokens and LineParser. Both ways give the same requests.

public import LeveretCore
public import NIOCore

/// What came in: one line, with its body.
public enum LineInput: Sendable {
    /// A request that was understood.
    case request(tag: [UInt8], LineCommand)
    /// A request that was not; the talk goes on behind it and its body.
    case refused(tag: [UInt8], BrokerError)
    /// The talk can't go on: nothing behind this is understood.
    case violation(tag: [UInt8], BrokerError)
}

/// Cuts a byte stream into requests. Any split of the stream gives the same requests.
public struct LineDecoder: Sendable {
    private enum State {
        /// A line begins at the reader index. → skipping, broken
        case line
        /// A refused request's body and its end of line are passed over. → bodyEnd
        case skipping(tag: [UInt8], BrokerError, remaining: Int)
        /// The end of line behind a skipped body. → line, broken
        case bodyEnd(tag: [UInt8], BrokerError)
        /// Nothing is read any more.
        case broken
    }

    private var limits: LineLimits
    /// While set, a body of more than a password's length is passed over and its request refused with this.
    private var bodyRefusal: BrokerError?
    private var state = State.line
    private var buffer = ByteBuffer()
    /// What came while `buffer` ended in the middle of a request.
    private var following = ByteBuffer()
    /// Bytes of `buffer` that hold no end of line.
    private var scanned = 0
    /// Bytes that `buffer` must hold before its first line is worth another look.
    private var needed = 1
    private var memo = LinePublishMemo()

    /// A decoder at the beginning of a stream.
    public init(limits: LineLimits) { self.limits = limits }

    /// Refuses larger bodies than passwords with `error`, unread; with `nil` no more.
    mutating func refuseBodies(with error: BrokerError?, limits: LineLimits) {
        bodyRefusal = error
        self.limits = limits
        if error != nil { self.limits.bodyBytesMax = min(limits.bodyBytesMax, LineLimits.passwordBytesMax) }
    }

    /// True in the middle of a line or of a body.
    public var isInsideRequest: Bool {
        switch state {
        case .line: buffer.readableBytes + following.readableBytes > 0
        case .skipping, .bodyEnd: true
        case .broken: false
        }
    }

    /// How many bytes the request takes that is being received, as far as that is known; 0 between requests and
    /// where what comes is not kept.
    public var awaitedBytes: Int { if case .line = state, isInsideRequest { needed } else { 0 } }
    /// Requests that were read to their end.
    public private(set) var requestsRead: UInt64 = 0

    /// Bytes that came and are not decoded.
    public var waitingBytes: Int { buffer.readableBytes + following.readableBytes }

    /// Takes bytes from the socket.
    public mutating func received(_ bytes: ByteBuffer) {
        if case .broken = state { return }
        if following.readableBytes > 0 {
            following.writeImmutableBuffer(bytes)
        } else if buffer.readableBytes > 0 {
            following = bytes
        } else {
            buffer = bytes
        }
    }

    /// The next request, or `nil` until more bytes come.
    public mutating func next() -> LineInput? {
        while true {
            switch state {
            case .line:
                if buffer.readableBytes >= needed, let input = line() { return input }
                if case .line = state {
                    guard refill() else {
                        // A silent connection keeps no room for bytes.
                        if buffer.readableBytes == 0 { buffer = ByteBuffer() }
                        return nil
                    }
                }
            case .skipping(let tag, let error, let remaining):
                let count = min(remaining, buffer.readableBytes)
                buffer.moveReaderIndex(forwardBy: count)
                if remaining == count {
                    state = .bodyEnd(tag: tag, error)
                } else {
                    state = .skipping(tag: tag, error, remaining: remaining - count)
                    guard refill() else { return nil }
                }
            case .bodyEnd(let tag, let error):
                switch Self.endOfLine(buffer.readableBytesView) {
                case .missing:
                    guard refill() else { return nil }
                case .length(let length):
                    buffer.moveReaderIndex(forwardBy: length)
                    state = .line
                    return .refused(tag: tag, error)
                case .wrong:
                    state = .broken
                    return .violation(tag: tag, Self.noEndOfLine)
                }
            case .broken: return nil
            }
        }
    }

    /// Says that the stream is over; half a request is a violation.
    public mutating func ended() -> LineInput? {
        guard isInsideRequest else { return nil }
        state = .broken
        return .violation(
            tag: [],
            BrokerError(.frameError, "the connection ended within a request, which was not run; closing")
        )
    }

    /// Reads nothing any more, and gives back what is held.
    public mutating func end() {
        state = .broken
        buffer = ByteBuffer()
        following = ByteBuffer()
    }

    /// Moves bytes from `following` so that the request at the end of `buffer` gets whole.
    private mutating func refill() -> Bool {
        guard following.readableBytes > 0 else {
            shrink()
            return false
        }
        if buffer.readableBytes == 0 {
            buffer = following
            following = ByteBuffer()
            return true
        }
        var count = max(needed - buffer.readableBytes, 1)
        if needed <= buffer.readableBytes + 1 {
            let view = following.readableBytesView
            count = view.firstIndex(of: .lineFeed).map { $0 - view.startIndex + 1 } ?? view.count
        }
        if var slice = following.readSlice(length: min(count, following.readableBytes)) {
            buffer.writeBuffer(&slice)
        }
        return true
    }

    /// Gives memory back that a long body took, or a long read that little is left of.
    private mutating func shrink() {
        guard buffer.storageCapacity > 4096, buffer.readableBytes < buffer.storageCapacity / 4 else { return }
        buffer = buffer.readableBytes == 0 ? ByteBuffer() : ByteBuffer(bytes: buffer.readableBytesView)
    }

    // MARK: one line

    private enum LineEnd {
        case missing, wrong
        case length(Int)
    }

    private static let noEndOfLine = BrokerError(
        .frameError,
        "the bytes after the body are not an end of line; closing"
    )

    private static func endOfLine(_ bytes: some Collection<UInt8>) -> LineEnd {
        guard let first = bytes.first else { return .missing }
        if first == .lineFeed { return .length(1) }
        guard first == .carriageReturn else { return .wrong }
        guard let second = bytes.dropFirst().first else { return .missing }
        return second == .lineFeed ? .length(2) : .wrong
    }

    /// What looking at a line gave.
    private enum Look {
        /// More bytes are needed: so many in all.
        case more(needed: Int)
        /// So many bytes are used up.
        case input(LineInput, used: Int)
        /// The line is used up, its body is to be skipped.
        case skip(tag: [UInt8], BrokerError, used: Int, body: Int)
    }

    /// Looks at the line at the reader index.
    private mutating func line() -> LineInput? {
        let look = buffer.withUnsafeReadableBytes { bytes in
            Self.look(bytes, scanned: &scanned, limits: limits, bodyRefusal, memo: &memo)
        }
        switch look {
        case .more(let count):
            needed = count
            return nil
        case .input(let input, let used):
            buffer.moveReaderIndex(forwardBy: used)
            if case .violation = input { state = .broken }
            requestsRead &+= 1
            scanned = 0
            needed = 1
            return input
        case .skip(let tag, let error, let used, let body):
            buffer.moveReaderIndex(forwardBy: used)
            state = .skipping(tag: tag, error, remaining: body)
            scanned = 0
            needed = 1
            return nil
        }
    }

    private static func look(
        _ bytes: UnsafeRawBufferPointer,
        scanned: inout Int,
        limits: LineLimits,
        _ bodyRefusal: BrokerError?,
        memo: inout LinePublishMemo
    ) -> Look {
        // A CR may stand before the LF and is no part of the line.
        let searchEnd = min(bytes.count, limits.lineBytesMax + 2)
        guard let feed = bytes.firstIndex(of: .lineFeed, in: min(scanned, searchEnd)..<searchEnd) else {
            let isOver = bytes.count >= limits.lineBytesMax + 2
            if isOver || (bytes.count > limits.lineBytesMax && bytes[limits.lineBytesMax] != .carriageReturn)
            {
                return .input(.violation(tag: [], tooLong(limits)), used: bytes.count)
            }
            scanned = bytes.count
            return .more(needed: bytes.count + 1)
        }
        scanned = feed
        let end = feed > 0 && bytes[feed - 1] == .carriageReturn ? feed - 1 : feed
        guard end <= limits.lineBytesMax else {
            return .input(.violation(tag: [], tooLong(limits)), used: feed + 1)
        }
        let line = bytes.slice(0..<end)
        if let quick = LineQuick(line, limits: limits, memo: &memo) {
            return finish(quick, bytes, bodyStart: feed + 1)
        }
        return slow(line, bytes, bodyStart: feed + 1, limits: limits, bodyRefusal)
    }

    private static func tooLong(_ limits: LineLimits) -> BrokerError {
        BrokerError(
            .frameError,
            "the line is longer than \(limits.lineBytesMax) bytes; send what is long as a body {N}; closing")
    }

    /// A line of a common shape, with its body if all of it has come.
    private static func finish(_ quick: LineQuick, _ bytes: UnsafeRawBufferPointer, bodyStart: Int) -> Look {
        switch quick {
        case .complete(let command): return .input(.request(tag: [], command), used: bodyStart)
        case .publish(let publish, let length):
            return withBody(bytes, from: bodyStart, length: length, tag: []) { publish.command($0) }
        }
    }

    /// Any line.
    private static func slow(
        _ line: UnsafeRawBufferPointer,
        _ bytes: UnsafeRawBufferPointer,
        bodyStart: Int,
        limits: LineLimits,
        _ bodyRefusal: BrokerError?
    ) -> Look {
        let cut: LineTokens
        do throws(LineTokens.Failure) {
            cut = try LineTokens(line, limits: limits)
        } catch {
            let input: LineInput =
                error.closes ? .violation(tag: error.tag, error.error) : .refused(tag: error.tag, error.error)
            return .input(input, used: bodyStart)
        }
        do throws(BrokerError) {
            let head = try LineHead(cut.tokens, hasBody: cut.body != .none)
            // Nobody's document is read before a login.
            if let bodyRefusal, cut.body != .none, !head.isPassword { throw bodyRefusal }
            switch cut.body {
            case .none: return .input(.request(tag: cut.tag, try head.command(body: [])), used: bodyStart)
            case .inline(let body):
                return .input(.request(tag: cut.tag, try head.command(body: body)), used: bodyStart)
            case .counted(let length):
                guard length <= limits.bodyBytesMax else {
                    let text = "a body of \(length) bytes is over the limit of \(limits.bodyBytesMax)"
                    throw bodyRefusal ?? BrokerError(.preconditionFailed, text)
                }
                return withBody(bytes, from: bodyStart, length: length, tag: cut.tag) {
                    (body) throws(BrokerError) in try head.command(body: body)
                }
            }
        } catch {
            guard case .counted(let length) = cut.body else {
                return .input(.refused(tag: cut.tag, error), used: bodyStart)
            }
            return .skip(tag: cut.tag, error, used: bodyStart, body: length)
        }
    }

    private static func withBody(
        _ bytes: UnsafeRawBufferPointer,
        from start: Int,
        length: Int,
        tag: [UInt8],
        make: ([UInt8]) throws(BrokerError) -> LineCommand
    ) -> Look {
        let end = start + length
        guard bytes.count > end else { return .more(needed: end + 1) }
        switch endOfLine(bytes.slice(end..<bytes.count)) {
        case .missing: return .more(needed: end + 2)
        case .wrong: return .input(.violation(tag: tag, noEndOfLine), used: end)
        case .length(let ending):
            do throws(BrokerError) {
                let command = try make(Array(bytes.slice(start..<end)))
                return .input(.request(tag: tag, command), used: end + ending)
            } catch {
                return .input(.refused(tag: tag, error), used: end + ending)
            }
        }
    }
}

extension LineHead {
    /// Its body is a password.
    fileprivate var isPassword: Bool {
        if case .password = self { true } else { false }
    }

    /// The request with its body.
    fileprivate func command(body: [UInt8]) throws(BrokerError) -> LineCommand {
        switch self {
        case .publish(let publish): return try publish.command(body: body)
        case .edit(var edit):
            edit.body = body
            return .submit(.edit(edit), .plain)
        case .move(var move):
            move.body = body
            return .submit(.move(move), .plain)
        case .restore(let queue):
            return .submit(.restore(try MessageDocument.read(body, for: queue)), .plain)
        case .password(let command): return .password(try command.with(password: body))
        case .complete(let command): return command
        }
    }
}
