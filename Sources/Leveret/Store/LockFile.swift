// Keeps a second broker away from a database file: a file beside it that is locked while the broker runs and
// holds its process id. The system drops the lock when the process ends, however it ends.

import LeveretCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// The lock of one database file; held from `init` until `release`.
struct LockFile: Sendable {
    private let path: String
    private let descriptor: Int32
    /// The database behind all links: whoever comes by another name finds the same lock.
    let database: String
    /// A broker had the file that did not come to an orderly end.
    let wasLeftBehind: Bool

    /// Takes the lock of `database`, or throws 405 with the process id of who has it.
    init(database: String) throws(BrokerError) {
        self.database = Files.followingLinks(database)
        path = self.database + "-lock"
        while true {
            let opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, Files.rights)
            guard opened >= 0 else { throw Self.cantOpen(path, errno) }
            guard flock(opened, LOCK_EX | LOCK_NB) == 0 else {
                let owner = Self.text(of: opened)
                close(opened)
                throw BrokerError(
                    .resourceLocked,
                    "database '\(database)' is in use by \(owner.isEmpty ? "another process" : "process \(owner)"); "
                        + "stop that broker, or read the file beside it: 'leveret queues --db \(database)'"
                )
            }
            // The holder before may have removed the file between the two calls.
            if Self.isSame(opened, path) {
                descriptor = opened
                break
            }
            close(opened)
        }
        wasLeftBehind = !Self.text(of: descriptor).isEmpty
        let pid = Array("\(getpid())\n".utf8)
        ftruncate(descriptor, 0)
        _ = pwrite(descriptor, pid, pid.count, 0)
    }

    /// Removes the file and lets go of the lock.
    func release() {
        unlink(path)
        close(descriptor)
    }

    private static func cantOpen(_ path: String, _ error: Int32) -> BrokerError {
        let reason = String(cString: strerror(error))
        if error == ENOSPC {
            return BrokerError(.resourceError, "no room for the lock file '\(path)': make room on the disk")
        }
        if error == EMFILE || error == ENFILE {
            return BrokerError(
                .internalError,
                "the lock file '\(path)' can't be opened: too many files are open; raise the limit (ulimit -n)"
            )
        }
        return BrokerError(
            .accessRefused,
            "the lock file '\(path)' can't be written: \(reason); give the broker a folder that it may write to"
        )
    }

    private static func text(of descriptor: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 32)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        let text = String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
        return text.filter(\.isNumber)
    }

    private static func isSame(_ descriptor: Int32, _ path: String) -> Bool {
        var held = stat()
        var found = stat()
        return fstat(descriptor, &held) == 0 && stat(path, &found) == 0 && held.st_ino == found.st_ino
            && held.st_dev == found.st_dev
    }
}
