// Sockets that systemd hands over, as sd_listen_fds(3) has it: LISTEN_FDS of them, from 3 on, for the process that
// LISTEN_PID names.

import LeveretServer

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// What the process was started with to listen on.
enum SocketActivation {
    /// The first number that is no standard stream.
    private static let first: Int32 = 3
    /// More than these nobody hands over; the variable is then something else.
    private static let countMax: Int32 = 1024

    /// The sockets; none where none are meant for this process. One called `tls` (FileDescriptorName=) speaks TLS only.
    ///
    /// - Throws: `Failure` with `.usage` where the variables make no sense.
    static func sockets(
        environment: (String) -> String? = Terminal.environment, process: Int32 = getpid()
    ) throws(Failure) -> [InheritedSocket] {
        guard let spelled = environment("LISTEN_FDS"), environment("LISTEN_PID") == String(process) else {
            return []
        }
        guard let count = Int32(spelled), (0...countMax).contains(count) else {
            throw Failure(
                .usage,
                "LISTEN_FDS is '\(spelled.printable)', no number of sockets; systemd sets it, take it out otherwise"
            )
        }
        let names = (environment("LISTEN_FDNAMES") ?? "").split(
            separator: ":", omittingEmptySubsequences: false)
        return (0..<count).map { index in
            let name = names.indices.contains(Int(index)) ? names[Int(index)] : ""
            return InheritedSocket(descriptor: first + index, isTLSOnly: name == "tls")
        }
    }
}
