// A client's connection as the core knows it: who owns exclusive queues, and which sessions end with it. Its name is
// what listings and WHY show.

/// A client's connection: it owns exclusive queues and its sessions.
final class Connection {
    let id: ConnectionID
    let name: String
    let since: Instant
    /// Somebody outside closes it when it is told to; the program's own is not.
    let isClosable: Bool
    let client: ClientDescription
    /// Who has logged in; `nil` is a client that may do everything.
    var user: UserState?
    /// In the order in which they were opened, which is that of their ids.
    private(set) var sessions: [Session] = []
    var exclusiveQueues: [MessageQueue] = []
    /// Where its sessions begin and itself counts; `nil` is `/`, where only those of its sessions count that are used.
    var home: VirtualHost?
    /// In which virtual hosts its sessions are, and how many in each; at home there is one more.
    var sessionsByHost: [VirtualHostID: Int] = [:]

    init(
        id: ConnectionID, name: String, since: Instant, isClosable: Bool, client: ClientDescription
    ) {
        self.id = id
        self.name = name
        self.since = since
        self.isClosable = isClosable
        self.client = client
    }

    /// A session is opened; its id is above all before.
    func add(_ session: Session) { sessions.append(session) }

    /// A session has ended. O(log n) but for moving those behind it: a client may have thousands.
    func remove(_ session: Session) {
        var (low, high) = (0, sessions.count)
        while low < high {
            let middle = (low + high) / 2
            if sessions[middle].id < session.id { low = middle + 1 } else { high = middle }
        }
        if low < sessions.count, sessions[low] === session { sessions.remove(at: low) }
    }

    /// All sessions, which end.
    func removeSessions() -> [Session] {
        defer { sessions = [] }
        return sessions
    }
}
