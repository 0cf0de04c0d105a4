// A program that a command starts by posix_spawn: an editor, the worker of `consume --exec`, a command of `shell`.
// Signals reach it as from a shell; of our descriptors it has only the three that it is given.

#if canImport(Darwin)
import Darwin
#else
@preconcurrency import Glibc  // for `environ`, which nothing here changes
#endif

/// A line of shell that runs.
struct ChildProgram {
    /// How it ended.
    enum End: Equatable {
        /// By itself, with this status.
        case exited(Int)
        /// By this signal.
        case killed(Int)
    }

    /// Whom it shares the terminal's signals with.
    enum Group {
        /// With us: Ctrl-C reaches it.
        case ours
        /// With its own children only.
        case own
    }

    /// Its process number.
    let id: pid_t

    /// Starts `/bin/sh -c line`.
    ///
    /// - Parameters:
    ///   - arguments: What the line knows as `$1`, `$2` and so on.
    ///   - variables: Variables of its environment, beside ours.
    ///   - isDropped: Ours that it does not get.
    ///   - streams: Its standard input, output and error.
    /// - Throws: `Failure` where the system has no room for it.
    init(
        shell line: String, _ arguments: [String] = [], variables: [(name: String, value: String)] = [],
        without isDropped: (String) -> Bool = { _ in false }, streams: [CInt] = [0, 1, 2], group: Group
    ) throws(Failure) {
        try self.init(
            path: "/bin/sh", ["sh", "-c", line, "leveret"] + arguments, variables: variables,
            without: isDropped, streams: streams, group: group)
    }

    /// Starts the program at `path`; the first of its words is its own name.
    ///
    /// - Parameters:
    ///   - variables: Variables of its environment, beside ours.
    ///   - isDropped: Ours that it does not get.
    ///   - streams: Its standard input, output and error.
    /// - Throws: `Failure` where it isn't there, or the system has no room for it.
    init(
        path: String, _ words: [String], variables: [(name: String, value: String)] = [],
        without isDropped: (String) -> Bool = { _ in false }, streams: [CInt] = [0, 1, 2], group: Group
    ) throws(Failure) {
        let words = words.map { strdup($0) } + [nil]
        let names = Set(variables.map(\.name))
        let settings = Self.environment.filter { setting in
            let name = String(setting.prefix { $0 != "=" })
            return !names.contains(name) && !isDropped(name)
        }
        let environment = (settings + variables.map { "\($0.name)=\($0.value)" }).map { strdup($0) } + [nil]
        defer { for pointer in words + environment { free(pointer) } }
        #if canImport(Darwin)
        var actions: posix_spawn_file_actions_t?
        var attributes: posix_spawnattr_t?
        #else
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        #endif
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        for (target, stream) in streams.enumerated() where stream != CInt(target) {
            posix_spawn_file_actions_adddup2(&actions, stream, CInt(target))
        }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        for number in [SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGCHLD] { sigaddset(&signals, number) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        var flags = Int32(POSIX_SPAWN_SETSIGMASK) | Int32(POSIX_SPAWN_SETSIGDEF)
        if group == .own { flags |= Int32(POSIX_SPAWN_SETPGROUP) }
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(&attributes, Int16(truncatingIfNeeded: flags))
        var id: pid_t = 0
        let code = posix_spawn(&id, path, &actions, &attributes, words, environment)
        guard code == 0 else {
            throw Failure(.refused, "\(path.printable) can't be started: \(LineClient.reason(code))")
        }
        self.id = id
    }

    /// Waits until it has ended.
    func wait() -> End {
        var state: CInt = 0
        while waitpid(id, &state, 0) < 0, errno == EINTR {}
        return Self.end(state)
    }

    /// How it has ended; `nil` while it runs.
    func endIfAny() -> End? {
        var state: CInt = 0
        return waitpid(id, &state, WNOHANG) == id ? Self.end(state) : nil
    }

    /// Sends a signal to it and, where it has a group of its own, to its children.
    func signal(_ number: CInt, group: Group) { _ = kill(group == .own ? -id : id, number) }

    private static func end(_ state: CInt) -> End {
        state & 0x7F == 0 ? .exited(Int(state >> 8 & 0xFF)) : .killed(Int(state & 0x7F))
    }

    /// Our own variables.
    private static var environment: [String] {
        var settings: [String] = []
        var next: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = environ
        while let setting = next?.pointee {
            settings.append(String(cString: setting))
            next = next?.advanced(by: 1)
        }
        return settings
    }
}
