// What a server that has just started says of its queues, asked over the line protocol.

import LeveretTestSupport

extension LineSocket {
    /// Gets all messages of a queue, in its order.
    func take(_ queue: String, count: Int) throws -> [Found] {
        for _ in 0...count { say("GET \(queue)") }
        var messages: [Found] = []
        for _ in 0...count {
            guard let reply = try waitForNext() else {
                throw SocketFailure(description: "the server closed the connection instead of answering GET")
            }
            if let message = reply.message ?? reply.sequence.map({ Found($0) }) {
                messages.append(message)
            } else if reply.line != "NIL" {
                throw SocketFailure(description: "GET \(queue) was answered '\(reply)'")
            }
        }
        return messages
    }

    /// How many messages of a queue are ready, as declaring it again tells.
    func ready(_ queue: String, _ options: String) throws -> Int {
        let reply = try ask("QUEUE \(queue) \(options)")
        guard let count = reply["ready"].flatMap({ Int($0) }) else {
            throw SocketFailure(description: "QUEUE \(queue) was answered '\(reply)'")
        }
        return count
    }

    /// Asks for what may not be refused.
    func expectOK(_ request: String) throws {
        let reply = try ask(request)
        guard reply.line.hasPrefix("OK") else {
            throw SocketFailure(description: "'\(request)' was answered '\(reply)'")
        }
    }
}
