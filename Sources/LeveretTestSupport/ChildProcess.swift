// Starts a program by posix_spawn. Foundation's `Process` looks through all open files of the test run first,
// and reads past the end of a buffer when there are more than 1,300, as in the test with thousands of sockets.

package import Foundation
import Synchronization

/// Keeps a program from being started between the making of a pipe and its mark: it would inherit both ends. glibc
/// hides `pipe2`, which does both in one, from Swift.
private let starting = Mutex(())

/// A program that a test has started.
package final class ChildProcess {
    /// It could not be started.
    package struct DidNotStart: Error, CustomStringConvertible {
        package var description: String
    }

    /// Its process number.
    package let id: Int32
    private var status: Int32?

    /// Starts the program at `path` with these streams as its own; everything else stays with the test.
    package init(
        _ path: String, _ arguments: [String],
        environment: [String: String] = ProcessInfo.processInfo.environment,
        folder: String? = nil, input: FileHandle = .nullDevice, output: FileHandle = .nullDevice,
        errors: FileHandle = .nullDevice
    ) throws {
        let change = folder.map { ["/usr/bin/env", "-C", $0] } ?? []
        let words = (change + [path] + arguments).map { strdup($0) } + [nil]
        let variables = environment.map { strdup("\($0)=\($1)") } + [nil]
        defer { for pointer in words + variables { free(pointer) } }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (target, stream) in [input, output, errors].enumerated() {
            posix_spawn_file_actions_adddup2(&actions, stream.fileDescriptor, Int32(target))
        }
        // The test run ignores SIGPIPE; the program should meet it as it would from a shell.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigaddset(&signals, SIGPIPE)
        sigaddset(&signals, SIGHUP)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var id: Int32 = 0
        let code = starting.withLock { _ in
            posix_spawn(&id, change.first ?? path, &actions, &attributes, words, variables)
        }
        guard code == 0 else {
            throw DidNotStart(description: "\(path) did not start: \(String(cString: strerror(code)))")
        }
        self.id = id
    }

    deinit { if status == nil { end(SIGKILL) } }

    /// Sends it a signal, unless it is known to be gone.
    package func kill(_ signal: Int32) { if status == nil { _ = Foundation.kill(id, signal) } }

    /// Waits until it is gone: its exit status, or the signal that ended it.
    package func waitUntilExit() -> Int32 {
        if let status { return status }
        var state: Int32 = 0
        while waitpid(id, &state, 0) < 0, errno == EINTR {}
        let result = state & 0x7f == 0 ? (state >> 8) & 0xff : state & 0x7f
        status = result
        return result
    }

    private func end(_ signal: Int32) {
        kill(signal)
        _ = waitUntilExit()
    }
}

extension Pipe {
    /// A pipe of whose ends a started program has only what it was given.
    package static func closedInPrograms() -> Pipe {
        starting.withLock { _ in
            let pipe = Pipe()
            for end in [pipe.fileHandleForReading, pipe.fileHandleForWriting] {
                _ = fcntl(end.fileDescriptor, F_SETFD, FD_CLOEXEC)
            }
            return pipe
        }
    }
}
