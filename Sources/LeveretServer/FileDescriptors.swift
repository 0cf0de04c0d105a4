// The few words with the operating system that NIO doesn't have: the limit on open files, error numbers, and whether an
// address can be had.

import NIOCore

#if canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#else
private import Darwin
#endif

enum FileDescriptors {
    static let addressInUse = EADDRINUSE
    static let accessDenied = EACCES
    static let addressNotAvailable = EADDRNOTAVAIL
    static let tooManyOpen = [EMFILE, ENFILE]

    /// Raises this process's limit on open files as far as it may, and returns it.
    static func raiseLimit() -> Int {
        #if canImport(Glibc)
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        #else
        let resource = RLIMIT_NOFILE
        #endif
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0 else { return 1024 }
        let former = limit.rlim_cur
        // More than this is never needed, and some systems take "no limit" badly.
        limit.rlim_cur = min(limit.rlim_max, 1 << 20)
        if setrlimit(resource, &limit) != 0 { limit.rlim_cur = former }
        return Int(clamping: limit.rlim_cur)
    }

    /// Binds a socket to an address as a listener's is, and lets go of it before it listens.
    static func bind(to address: SocketAddress) throws {
        #if canImport(Darwin)
        let descriptor = socket(CInt(address.protocol.rawValue), SOCK_STREAM, 0)
        #else
        let descriptor = socket(CInt(address.protocol.rawValue), CInt(SOCK_STREAM.rawValue), 0)
        #endif
        guard descriptor >= 0 else { throw IOError(errnoCode: errno, reason: "socket") }
        defer { close(descriptor) }
        var yes: CInt = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<CInt>.size))
        let result = address.withSockAddr { systemBind(descriptor, $0, socklen_t($1)) }
        guard result == 0 else { throw IOError(errnoCode: errno, reason: "bind") }
    }
}

/// `bind` of the system, which has the name of what calls it.
private func systemBind(_ descriptor: CInt, _ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> CInt {
    bind(descriptor, address, length)
}
