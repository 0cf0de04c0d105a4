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
    var sessions: [Session] = []
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
}
