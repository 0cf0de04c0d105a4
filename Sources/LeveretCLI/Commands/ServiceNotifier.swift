// Tells whoever started the server how it does, as sd_notify(3) has it: a datagram of lines to the socket that
// NOTIFY_SOCKET names. Without that variable nobody listens and nothing is said.

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// The service manager's ear.
struct ServiceNotifier {
    private let socketPath: String?
    /// How often the manager wants to hear that all is well, in microseconds; `nil` when it doesn't ask.
    let watchdogMicroseconds: Int?

    /// What the environment names.
    init(environment: (String) -> String? = Terminal.environment) {
        socketPath = environment("NOTIFY_SOCKET").flatMap {
            $0.hasPrefix("/") || $0.hasPrefix("@") ? $0 : nil
        }
        let isForUs = environment("WATCHDOG_PID").map { Int32($0) == getpid() } ?? true
        let asked = environment("WATCHDOG_USEC").flatMap { Int($0) }
        watchdogMicroseconds = isForUs && socketPath != nil ? asked.flatMap { $0 > 0 ? $0 : nil } : nil
    }

    /// The server listens.
    func ready(_ status: String) { say("READY=1\nSTATUS=\(status)") }

    /// The configuration is being read again; `ready` ends it.
    func reloading() {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        say("RELOADING=1\nMONOTONIC_USEC=\(Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)")
    }

    /// The server ends.
    func stopping() { say("STOPPING=1") }

    /// The server is well.
    func alive() { say("WATCHDOG=1") }

    /// A manager that doesn't listen is no reason to stop: what can't be said within a second is dropped.
    private func say(_ text: String) {
        guard let socketPath else { return }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var path = Array(socketPath.utf8)
        guard path.count < MemoryLayout.size(ofValue: address.sun_path) else { return }
        // An abstract name begins with a zero byte, which @ stands for.
        if path[0] == UInt8(ascii: "@") { path[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
        let pathStart = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
        let length = socklen_t(pathStart + path.count)
        #if canImport(Darwin)
        let descriptor = socket(AF_UNIX, SOCK_DGRAM, 0)
        #else
        let descriptor = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue), 0)
        #endif
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        var second = timeval(tv_sec: 1, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &second, socklen_t(MemoryLayout<timeval>.size))
        _ = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                text.utf8.withContiguousStorageIfAvailable { bytes in
                    sendto(descriptor, bytes.baseAddress, bytes.count, 0, pointer, length)
                }
            }
        }
    }
}
