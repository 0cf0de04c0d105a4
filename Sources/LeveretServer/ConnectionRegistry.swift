// Which sockets are open: for the limit on their number, and to end them all. It says nothing on a socket.

import NIOCore
import Synchronization

/// Asks a handler to finish what is owed and close; fired as a user event.
struct DrainEvent: Sendable {}

/// The open connections of a server.
final class ConnectionRegistry: Sendable {
    private struct State {
        var channels: [ObjectIdentifier: any Channel] = [:]
        var countMax: Int
        var isDraining = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state: Mutex<State>  // guards which connections are open

    init(countMax: Int) { state = Mutex(State(countMax: countMax)) }

    /// How many are open.
    var count: Int { state.withLock { $0.channels.count } }
    /// How many may be open.
    var limit: Int { state.withLock { $0.countMax } }

    /// Lowers the limit to what the system allows.
    func limit(to count: Int) { state.withLock { $0.countMax = max(1, min($0.countMax, count)) } }

    /// Adds a connection; false when there is no room.
    func add(_ channel: any Channel) -> Bool {
        state.withLock { state in
            guard !state.isDraining, state.channels.count < state.countMax else { return false }
            state.channels[ObjectIdentifier(channel)] = channel
            return true
        }
    }

    /// Takes a closed connection out.
    func remove(_ channel: any Channel) {
        let waiting = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.channels[ObjectIdentifier(channel)] = nil
            guard state.channels.isEmpty else { return [] }
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Asks every connection to end, and returns when none is left.
    func drain() async {
        let channels = state.withLock { state in
            state.isDraining = true
            return Array(state.channels.values)
        }
        for channel in channels { channel.pipeline.fireUserInboundEventTriggered(DrainEvent()) }
        await withCheckedContinuation { continuation in
            let isEmpty = state.withLock { state in
                if !state.channels.isEmpty { state.waiting.append(continuation) }
                return state.channels.isEmpty
            }
            if isEmpty { continuation.resume() }
        }
    }

    /// Cuts every connection off.
    func closeAll() {
        for channel in state.withLock({ Array($0.channels.values) }) { channel.close(promise: nil) }
    }
}
