// A client's connection as the core knows it: who owns exclusive queues, and which sessions end with it. Its name is
// what listings and WHY show.

/// A client's connection: it owns exclusive queues and its sessions.
final class Connection {
    let id: ConnectionID
    let name: String
    let since: Instant
    var sessions: [Session] = []
    var exclusiveQueues: [MessageQueue] = []

    init(id: ConnectionID, name: String, since: Instant) {
        self.id = id
        self.name = name
        self.since = since
    }
}
