// A listening socket in the file system: made with its permissions, in place of one that a dead process left
// behind but never of a living one, and removed at the end.

import Leveret

#if canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#else
private import Darwin
#endif

/// A socket's file, bound and not yet listening.
struct UnixSocket: Sendable {
    /// Bytes of a path that the system's address has room for, the end mark not counted.
    static let pathBytesMax = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

    /// What listens is made of this; whoever takes it closes it.
    let descriptor: CInt
    private let path: String
    private let device: UInt64
    private let node: UInt64

    /// Binds a socket to `path`.
    ///
    /// Nobody can connect before it listens, so the permissions hold from the first client on.
    /// - Throws: a `BrokerError` when another program listens there, something else has the name, or the system
    ///   refuses.
    init(path: String, mode: UInt32) throws(BrokerError) {
        guard path.utf8.count <= Self.pathBytesMax else {
            let text =
                "the path has more than \(Self.pathBytesMax) bytes, as many as a socket's may; pick a shorter one"
            throw Self.refusal(path, .preconditionFailed, text)
        }
        try Self.clear(path)
        let descriptor = Self.makeSocket()
        guard descriptor >= 0 else { throw Self.refusal(path, errno) }
        guard Self.withAddress(path, { bind(descriptor, $0, $1) }) == 0, chmod(path, mode_t(mode)) == 0 else {
            let code = errno
            close(descriptor)
            throw Self.refusal(path, code)
        }
        var found = stat()
        lstat(path, &found)
        self.descriptor = descriptor
        self.path = path
        device = UInt64(found.st_dev)
        node = UInt64(found.st_ino)
    }

    /// Lets go of it before anything listens.
    func discard() {
        close(descriptor)
        remove()
    }

    /// Removes the file, unless another has taken its name.
    func remove() {
        var found = stat()
        guard lstat(path, &found) == 0, UInt64(found.st_dev) == device, UInt64(found.st_ino) == node else {
            return
        }
        unlink(path)
    }

    /// Makes room for the name, where a dead process's socket has it.
    private static func clear(_ path: String) throws(BrokerError) {
        var found = stat()
        guard lstat(path, &found) == 0 else { return }
        guard found.st_mode & S_IFMT == S_IFSOCK else {
            let text = "that is a file and no socket; remove it, or pick another path"
            throw refusal(path, .resourceLocked, text)
        }
        let descriptor = makeSocket()
        guard descriptor >= 0 else { throw refusal(path, errno) }
        defer { close(descriptor) }
        if withAddress(path, { connect(descriptor, $0, $1) }) == 0 || errno == EAGAIN {
            let text = "another program listens there; stop it, or pick another path"
            throw refusal(path, .resourceLocked, text)
        }
        guard errno == ECONNREFUSED else { throw refusal(path, errno) }
        unlink(path)
    }

    /// A socket that never blocks: a full backlog must not hold up the start.
    private static func makeSocket() -> CInt {
        #if canImport(Darwin)
        let descriptor = socket(AF_UNIX, SOCK_STREAM, 0)
        #else
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
        #endif
        guard descriptor >= 0 else { return descriptor }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        return descriptor
    }

    private static func withAddress(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt
    ) -> CInt {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }

    private static func refusal(_ path: String, _ code: CInt) -> BrokerError {
        let advice =
            switch code {
            case ENOENT: "its folder does not exist; make it first"
            case EACCES, EPERM: "not allowed; give this user the right to write to its folder"
            case EROFS: "the file system is read-only; pick another path"
            default: String(cString: strerror(code))
            }
        return refusal(path, .internalError, advice)
    }

    private static func refusal(_ path: String, _ code: ReplyCode, _ text: String) -> BrokerError {
        BrokerError(code, "can't listen on unix:\(path): \(text)")
    }
}
