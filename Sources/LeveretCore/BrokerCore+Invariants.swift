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
            for priority in queue.priorities {
                bytes += queue[priority].entries.reduce(0) { $0 + $1.footprint }
            }
            bytes += queue.delayed.inMemory.reduce(0) { $0 + $1.entry.footprint }
            check(queue, unacked: unacked[queue.id] ?? 0)
        }
        checkVirtualHosts()
        precondition(bytes == messageBytes, "messages in memory weigh \(bytes) bytes, not \(messageBytes)")
    }

    /// Every queue is where its virtual host has its name, and every connection is counted where its sessions are.
    private func checkVirtualHosts() {
        precondition(
            virtualHosts.count == virtualHostsByName.count && virtualHosts.contains { $0 === defaultHost },
            "there are other vhosts than their names say")
        var named = 0
        for host in virtualHosts {
            named += host.topology.queues.count
            let present = connections.count { connection in
                let count =
                    connection.sessions.count { $0.host === host && $0.isAdmitted }
                    + (connection.home === host ? 1 : 0)
                precondition(
                    connection.sessionsByHost[host.id] ?? 0 == count,
                    "connection '\(connection.name)' miscounts its sessions in vhost '\(host.name)'")
                return count > 0
            }
            precondition(host.connections == present, "vhost '\(host.name)' miscounts its connections")
        }
        for case .some(let queue) in queues {
            guard !queue.host.isDeleted else { continue }
            precondition(
                queue.host.topology.slot(of: queue.name) == queue.slot,
                "queue '\(queue.name)' is not where vhost '\(queue.host.name)' says")
            named -= 1
        }
        precondition(named == 0, "a vhost names a queue that is not there")
    }

    private func check(_ queue: MessageQueue, unacked: Int) {
        let name = queue.name
        precondition(queue.unackedCount == unacked, "queue '\(name)' miscounts what is unacked")
        var (count, bytes, stored) = (0, 0, 0)
        var highest: UInt8?
        for priority in queue.priorities {
            let window = queue[priority]
            check(window, of: queue, priority)
            count += window.entries.count
            bytes += window.bytes
            stored += window.storedCount
            if highest == nil, !window.isEmpty { highest = priority }
        }
        precondition(
            count == queue.inMemory && bytes == queue.windowBytes && stored == queue.storedCount,
            "queue '\(name)' miscounts over its priorities")
        precondition(
            queue.highestPriority == highest ?? 0, "queue '\(name)' does not know what is delivered next")
        let delayed = queue.delayed
        precondition(
            delayed.storedCount >= 0 && delayed.inMemory.allSatisfy { $0.key <= delayed.cursor },
            "queue '\(name)' holds a delayed message behind its cursor")
        precondition(queue.isEmpty == (highest == nil), "queue '\(name)' does not know whether it is empty")
    }

    private func check(_ window: Window, of queue: MessageQueue, _ priority: UInt8) {
        let name = queue.name
        precondition(window.storedCount >= 0 && window.storedBytes >= 0, "queue '\(name)' counts below zero")
        precondition(
            window.bytes == window.entries.reduce(0) { $0 + Int($1.bytes) }
                && window.bulk == window.entries.reduce(0) { $0 + $1.bulk },
            "queue '\(name)' miscounts its bytes")
        var last = MessageNumber(Int64.min)
        for entry in window.entries {
            precondition(last < entry.place, "queue '\(name)' is out of order at \(entry.number.rawValue)")
            precondition(entry.place <= window.cursor, "queue '\(name)' holds a message behind its cursor")
            precondition(entry.priority == priority, "queue '\(name)' holds a message at another priority")
            last = entry.place
        }
    }
}
