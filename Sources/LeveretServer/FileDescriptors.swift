// The few words with the operating system that NIO doesn't have: the limit on open files, and error numbers.

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
}
