// What must hold between inputs. Tests and the simulation check it after every step; the broker never does.

import DequeModule

extension BrokerCore {
    /// Stops the process where an invariant does not hold. O(everything).
    public func checkInvariants() {
        precondition(dying.isEmpty, "messages on their way to dead-letter exchanges were left behind")
        var bytes = 0
        var unacked: [QueueID: Int] = [:]
        for connection in connections {
            for session in connection.sessions {
                var held = 0
                for case .some(let delivery) in session.held {
                    held += 1
                    bytes += delivery.entry.footprint
                    unacked[delivery.queue.id, default: 0] += 1
                }
                precondition(
                    held == session.heldCount, "session \(session.id.rawValue) miscounts what it holds")
                for delivery in session.handingOver { bytes += delivery.entry.footprint }
            }
        }
        for case .giveBack(let session) in work {
            for case .some(let delivery) in session.held {
                bytes += delivery.entry.footprint
                unacked[delivery.queue.id, default: 0] += 1
            }
        }
        for case .some(let queue) in queues {
            bytes += queue.ready.reduce(0) { $0 + $1.footprint }
            check(queue, unacked: unacked[queue.id] ?? 0)
        }
        precondition(bytes == messageBytes, "messages in memory weigh \(bytes) bytes, not \(messageBytes)")
    }

    private func check(_ queue: MessageQueue, unacked: Int) {
        let name = queue.name
        precondition(queue.unackedCount == unacked, "queue '\(name)' miscounts what is unacked")
        precondition(queue.storedCount >= 0 && queue.storedBytes >= 0, "queue '\(name)' counts below zero")
        precondition(
            queue.windowBytes == queue.ready.reduce(0) { $0 + Int($1.bytes) },
            "queue '\(name)' miscounts its bytes")
        var last = MessageNumber(Int64.min)
        for entry in queue.ready {
            precondition(last < entry.number, "queue '\(name)' is out of order at \(entry.number.rawValue)")
            precondition(entry.number <= queue.cursor, "queue '\(name)' holds a message behind its cursor")
            last = entry.number
        }
    }
}
