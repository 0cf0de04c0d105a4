// How the answer to a request is written: one form for each kind of -ok method.

import LeveretCore
import NIOCore

/// The form of an answer.
enum AMQPReply: Sendable {
    /// A method without arguments.
    case plain(AMQPMethodID)
    /// channel.flow-ok.
    case flow
    /// queue.declare-ok.
    case declared
    /// queue.declare-ok of the direct reply-to, with the queue's name as it was asked for.
    case declaredReply(String)
    /// queue.purge-ok or queue.delete-ok, with a count.
    case counted(AMQPMethodID)
    /// basic.consume-ok.
    case consuming
    /// basic.cancel-ok.
    case cancelled(String)
    /// basic.get-ok or basic.get-empty; the channel writes these itself.
    case got
    /// tx.commit-ok; of these publishes those that no queue took are returned first.
    case committed([Int: Message])
    /// A queue for replies is declared; its consumer comes next.
    case replyQueue(AMQPConsume)

    /// Writes the answer of a request that was not refused.
    func write(_ answer: Answer, on channel: UInt16, to out: inout ByteBuffer) {
        switch self {
        case .plain(let id): AMQPWriter.method(id, on: channel, to: &out)
        case .flow: AMQPWriter.method(.channelFlowOk, on: channel, to: &out) { $0.writeInteger(1 as UInt8) }
        case .declared:
            guard case .declared(let name, let ready, let consumers) = answer else { return }
            Self.declared(name.rawValue, ready: ready, consumers: consumers, on: channel, to: &out)
        case .declaredReply(let name): Self.declared(name, ready: 0, consumers: 1, on: channel, to: &out)
        case .counted(let id):
            guard case .count(let count) = answer else { return }
            AMQPWriter.method(id, on: channel, to: &out) { $0.writeInteger(UInt32(clamping: count)) }
        case .consuming:
            guard case .consuming(let tag) = answer else { return }
            AMQPWriter.method(.basicConsumeOk, on: channel, to: &out) { $0.write(shortString: tag.rawValue) }
        case .cancelled(let tag):
            AMQPWriter.method(.basicCancelOk, on: channel, to: &out) { $0.write(shortString: tag) }
        case .committed: AMQPWriter.method(.txCommitOk, on: channel, to: &out)
        case .got: AMQPWriter.method(.basicGetEmpty, on: channel, to: &out) { $0.writeInteger(0 as UInt8) }
        case .replyQueue: break
        }
    }

    private static func declared(
        _ name: String, ready: Int, consumers: Int, on channel: UInt16, to out: inout ByteBuffer
    ) {
        AMQPWriter.method(.queueDeclareOk, on: channel, to: &out) { out in
            out.write(shortString: name)
            out.writeInteger(UInt32(clamping: ready))
            out.writeInteger(UInt32(clamping: consumers))
        }
    }
}
