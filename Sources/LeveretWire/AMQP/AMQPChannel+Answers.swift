// What the broker says to a channel, as frames, at once; only an answer waits until the acks before it are durable. A
// request behind whose answer deliveries come waits for that itself.

import LeveretCore
import NIOCore

extension AMQPChannel {
    /// Writes what the broker says. Throws what closes the channel or the connection; requests that follow from an
    /// answer are added to `submissions`.
    mutating func heard(
        _ events: [SessionEvent], _ context: AMQPContext, _ writer: inout AMQPWriter,
        into submissions: inout [Submission], out: inout ByteBuffer
    ) throws(AMQPFailure) {
        for event in events {
            switch event {
            case .answer(let ticket, let answer):
                switch AMQPTicket.meaning(of: ticket) {
                case .publish(let number):
                    try published(number, answer, context, &writer, out: &out)
                    continue
                case .settle(let method):
                    settling -= 1
                    if case .refused(let error) = answer {
                        confirms.flush(on: number, to: &out)
                        throw AMQPFailure(settling: error, method, host: context.host)
                    }
                    // The acks before an answer are durable now.
                    if settling == 0, let answer = waiting?.answer {
                        try answered(answer, context, &writer, into: &submissions, out: &out)
                    }
                    continue
                case .asked: break
                }
            default: break
            }
            try tell(event, context, &writer, into: &submissions, out: &out)
        }
        confirms.flush(on: number, to: &out)
    }

    private mutating func published(
        _ number: UInt64, _ answer: Answer, _ context: AMQPContext, _ writer: inout AMQPWriter,
        out: inout ByteBuffer
    ) throws(AMQPFailure) {
        switch answer {
        case .refused(let error):
            // A queue that is full refuses as RabbitMQ's does; that there is an alarm, the client is told anyway.
            if error.code == .resourceError {
                if number > 0 { confirms.refused(number, on: self.number, to: &out) }
                return
            }
            confirms.flush(on: self.number, to: &out)
            throw AMQPFailure(error, .basicPublish, host: context.host)
        case .unroutable(let message): writer.returned(message, on: self.number, to: &out)
        default: break
        }
        if number > 0 { confirms.safe(number, on: self.number, to: &out) }
    }

    private mutating func tell(
        _ event: SessionEvent, _ context: AMQPContext, _ writer: inout AMQPWriter,
        into submissions: inout [Submission], out: inout ByteBuffer
    ) throws(AMQPFailure) {
        switch event {
        case .delivery(let delivery): writer.deliver(delivery, on: number, to: &out)
        case .answer(_, let answer):
            guard settling == 0 else {
                waiting?.answer = answer
                return
            }
            try answered(answer, context, &writer, into: &submissions, out: &out)
        case .consumerEnded(let tag, _):
            guard context.hearsOfCancels else { return }
            // Who deletes a queue hears that it is gone before its own consumers are.
            if case .counted(.queueDeleteOk)? = waiting?.reply { return ended.append(tag) }
            cancel(tag, out: &out)
        case .notice: break
        }
    }

    /// The answer that the channel waits for is there.
    private mutating func answered(
        _ answer: Answer, _ context: AMQPContext, _ writer: inout AMQPWriter,
        into submissions: inout [Submission], out: inout ByteBuffer
    ) throws(AMQPFailure) {
        guard let waiting else { return }
        self.waiting = nil
        confirms.flush(on: number, to: &out)
        switch (waiting.reply, answer) {
        case (.cancelled, .refused(let error)) where error.code == .notFound: break
        case (.cancelled(let tag), _) where replyTag == ConsumerTag(tag): (replyQueue, replyTag) = (nil, nil)
        case (_, .refused(let error)):
            throw AMQPFailure(error, waiting.method, waiting.request, host: context.host)
        case (.replyQueue(let consume), .declared(let queue, _, _)):
            replyQueue = queue
            return try start(consume, on: queue, waiting.method, into: &submissions)
        case (.got, .delivered(let delivery, let remaining)):
            return writer.got(delivery, remaining: remaining, on: number, to: &out)
        case (.committed(let mandatory), .committed(let routed)):
            for place in mandatory.keys.sorted() where routed.indices.contains(place) && routed[place] == 0 {
                if let message = mandatory[place] { writer.returned(message, on: number, to: &out) }
            }
        case (.declared, .declared(let queue, _, _)): lastQueue = queue.rawValue
        case (.consuming, .consuming(let tag)):
            if case .consume(let consume)? = waiting.request, consume.queue == replyQueue { replyTag = tag }
        default: break
        }
        if !waiting.isSilent { waiting.reply.write(answer, on: number, to: &out) }
        for tag in ended { cancel(tag, out: &out) }
        ended = []
    }

    private func cancel(_ tag: ConsumerTag, out: inout ByteBuffer) {
        AMQPWriter.method(.basicCancel, on: number, to: &out) { out in
            out.write(shortString: tag.rawValue)
            out.writeInteger(1 as UInt8)
        }
    }
}

extension AMQPFailure {
    /// The broker's refusal of an ack, nack or reject: its text begins with RabbitMQ's.
    fileprivate init(settling error: BrokerError, _ method: AMQPMethodID, host: String) {
        var error = error
        if let end = error.text.firstRange(of: ": ") { error.text = String(error.text[..<end.lowerBound]) }
        self.init(error, method, host: host)
    }
}
