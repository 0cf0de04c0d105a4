// How bytes flow through a handler: whether the pipeline's wish to read waits, and whether a turn is being made or
// due. It knows no socket: its handler reads, runs and writes as this says.

import NIOCore

/// Where the reading and the turns of a connection stand.
struct SocketFlow {
    /// Something came since the last turn for what was read.
    private var hasRead = false
    /// The pipeline wants to read and was told to wait.
    private(set) var isReadPending = false
    /// When something was read last, or could have been.
    var lastRead = NIODeadline.uptimeNanoseconds(0)
    /// Bytes or events are left for a turn that comes when the client reads or the broker goes on.
    var isStalled = false
    private var isTurning = false
    /// Once a turn is made, another follows.
    var isTurnWanted = false

    /// Something came.
    mutating func received() { hasRead = true }

    /// That was all for now; true where it is for a turn. NIO says so at the end of the input, too, before it says that
    /// the input is closed, which brings a turn. It does not expect a write to fail in between: a debug build would end
    /// there.
    mutating func readComplete(at now: NIODeadline) -> Bool {
        guard hasRead else { return false }
        hasRead = false
        lastRead = now
        return true
    }

    /// The pipeline wants to read; true where it does so now.
    mutating func asked(toRead mayRead: Bool) -> Bool {
        isReadPending = !mayRead
        return mayRead
    }

    /// True where what waited to read does so now.
    mutating func resume(_ mayRead: Bool, at now: NIODeadline) -> Bool {
        guard isReadPending, mayRead else { return false }
        isReadPending = false
        lastRead = now
        return true
    }

    /// A turn begins; false where one is being made, which another then follows. Writing may make the socket writable
    /// again, and NIO says so from within.
    mutating func enter() -> Bool {
        isTurnWanted = true
        guard !isTurning else { return false }
        isTurning = true
        return true
    }

    /// A turn is made, or once more.
    mutating func beginPass() {
        isTurnWanted = false
        isStalled = false
    }

    /// The turn is over.
    mutating func leave() { isTurning = false }
}
