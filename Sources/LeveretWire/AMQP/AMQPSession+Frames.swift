// Frames to requests: which channel a frame is for, whether it belongs there, and what becomes of it.

import LeveretCore
import NIOCore

extension AMQPSession {
    /// Decodes frames until there is a batch for one channel, or something else to do.
    mutating func decode(into submissions: inout [Submission], out: inout ByteBuffer) -> Step {
        let limits = context.limits
        var current: UInt16 = 0
        var bytes = 0
        while true {
            if !pending.isEmpty { return submissions.isEmpty ? pending.removeFirst() : .submit(current) }
            // What is waited for is asked at once: it may be answered at once.
            if !submissions.isEmpty,
                submissions.last?.ticket == AMQPTicket.asked || submissions.count >= limits.batchCountMax
                    || bytes >= limits.batchBytesMax
                    || !decoder.nextJoins(on: current)
            {
                return .submit(current)
            }
            guard wantsBytes, !isFinished else { return submissions.isEmpty ? .blocked : .submit(current) }
            do throws(AMQPFailure) {
                if case .greeting = state {
                    guard let header = decoder.protocolHeader() else { return .needsBytes }
                    greeted(header, out: &out)
                    continue
                }
                guard let frame = try decoder.next() else {
                    return submissions.isEmpty ? .needsBytes : .submit(current)
                }
                current = frame.channel
                let before = submissions.count
                try take(frame, into: &submissions, out: &out)
                if submissions.count > before, case .publish(let message, _)? = submissions.last?.request {
                    bytes += message.bulk
                }
            } catch {
                fail(error, on: 0, out: &out)
            }
        }
    }

    private mutating func take(
        _ frame: AMQPFrame, into submissions: inout [Submission], out: inout ByteBuffer
    ) throws(AMQPFailure) {
        switch frame.kind {
        case .heartbeat:
            guard frame.channel == 0 else { throw .unexpectedFrame("type 8, all octets = <<>>") }
        case .method:
            if frame.channel == 0 { return try takeForConnection(frame.payload, out: &out) }
            try takeMethod(frame, into: &submissions, out: &out)
        case .header, .body: try takeContent(frame, into: &submissions, out: &out)
        }
    }

    private mutating func takeContent(
        _ frame: AMQPFrame, into submissions: inout [Submission], out: inout ByteBuffer
    ) throws(AMQPFailure) {
        if isClosing { return }
        let number = frame.channel
        guard let place = channels.place(of: number) else { throw .channelError("expected 'channel.open'") }
        if channels[place].standing == .closing { return }
        var publish: AMQPPublish?
        do throws(AMQPFailure) {
            if frame.kind == .header {
                publish = try channels[place].content.header(
                    frame.payload, bodyBytesMax: context.limits.bodyBytesMax, user: context.user, &memo)
            } else {
                let before = channels[place].content.heldBytes
                publish = try channels[place].content.body(frame.payload)
                receivingBytes += channels[place].content.heldBytes - before
            }
        } catch {
            return fail(error, on: number, out: &out)
        }
        guard receivingBytes <= context.limits.bodyBytesMax else {
            var failure = AMQPFailure(
                .resourceError,
                "bodies of over \(context.limits.bodyBytesMax) bytes are being received on this connection",
                .basicPublish)
            failure.scope = .connection
            throw failure
        }
        if let publish { take(.publish(publish), on: number, into: &submissions, out: &out) }
    }

    /// Looks at the bodies that have come in part. Returns one of which less has come than `least` says for its size
    /// since it was last looked at, if there is one.
    public mutating func lookAtBodies(
        least: (_ bodyBytes: Int) -> Int
    ) -> (channel: UInt16, grown: Int, least: Int)? {
        var stalled: (channel: UInt16, grown: Int, least: Int)?
        for place in channels.all.indices {
            let arriving = decoder.bodyBytes(on: channels[place].number)
            guard let (grown, size) = channels[place].content.look(arriving: arriving), grown < least(size)
            else { continue }
            stalled = (channels[place].number, grown, least(size))
        }
        return stalled
    }

    private mutating func take(
        _ input: AMQPInput, on number: UInt16, into submissions: inout [Submission], out: inout ByteBuffer
    ) {
        on(number, out: &out) { channel, context, _, out throws(AMQPFailure) in
            try channel.take(input, context, into: &submissions, out: &out)
        }
    }

    private mutating func takeMethod(
        _ frame: AMQPFrame, into submissions: inout [Submission], out: inout ByteBuffer
    ) throws(AMQPFailure) {
        if isClosing { return }
        guard case .open = state else {
            throw .channelError("a method of a channel before the connection is open")
        }
        let number = frame.channel
        let name: UInt32? = frame.payload.getInteger(at: frame.payload.readerIndex)
        let place = channels.place(of: number)
        if let place {
            let standing = channels[place].standing
            if standing == .closing { return takeWhileClosing(name, number, out: &out) }
            guard standing == .betweenMethods else {
                throw .unexpectedFrame(
                    "expected content header for class 60, got non content header frame instead",
                    .basicPublish)
            }
            if name == AMQPMethodID.basicPublish.rawValue {
                let names = try memo.names(frame.payload)
                guard !names.isImmediate else {
                    throw AMQPFailure(.notImplemented, "immediate=true", .basicPublish)
                }
                channels[place].content = .header(names)
                return
            }
        }
        let (id, method) = try AMQPMethod.decode(frame.payload)
        guard !id.isOfConnection else { throw .channelError("expected a method of a channel", id) }
        guard place != nil else {
            guard case .channelOpen = method else {
                if case .channelCloseOk = method { return }
                throw .channelError("expected 'channel.open'", id)
            }
            return try open(number, out: &out)
        }
        take(.method(id, method), on: number, into: &submissions, out: &out)
    }

    private mutating func open(_ number: UInt16, out: inout ByteBuffer) throws(AMQPFailure) {
        guard number <= channelsMax else {
            throw AMQPFailure(
                .notAllowed,
                "number of channels opened (\(channelsMax)) has reached the negotiated channel_max (\(channelsMax))"
            )
        }
        channels.insert(AMQPChannel(number: number))
        if let place = channels.place(of: number) { noteChange(at: place) }
        pending.append(.openChannel(number))
        AMQPWriter.method(.channelOpenOk, on: number, to: &out) { $0.writeInteger(UInt32(0)) }
    }

    /// A channel that the server has closed is over when the client says so.
    private mutating func takeWhileClosing(_ name: UInt32?, _ number: UInt16, out: inout ByteBuffer) {
        switch name.flatMap({ AMQPMethodID(rawValue: $0) }) {
        case .channelCloseOk?: forget(number)
        case .channelClose?: AMQPWriter.method(.channelCloseOk, on: number, to: &out)
        default: break
        }
    }
}
