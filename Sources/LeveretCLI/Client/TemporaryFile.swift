// Files for a while, in $TMPDIR: a text that is being edited, the body that a command reads.

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// A file that only this user can read, open for reading and writing. Whoever makes one closes and removes it.
struct TemporaryFile {
    let path: String
    let descriptor: CInt

    /// Makes one that holds `bytes`. Programs that a command starts don't have its descriptor.
    ///
    /// - Throws: `Failure` where there is no room; then there is no file either.
    init(holding bytes: [UInt8]) throws(Failure) {
        let folder = Terminal.environment("TMPDIR") ?? "/tmp"
        var template = Array("\(folder)/leveret-\(String(repeating: "X", count: 6))".utf8CString)
        descriptor = mkstemp(&template)
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard descriptor >= 0 else {
            throw Failure(
                .refused,
                "no file can be made in '\(folder.printable)': \(LineClient.reason(errno)); set TMPDIR")
        }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        guard Terminal.write(bytes, to: descriptor), lseek(descriptor, 0, SEEK_SET) == 0 else {
            close(descriptor)
            unlink(path)
            throw Failure(.refused, "the body can't be written to '\(folder.printable)'; set TMPDIR")
        }
    }
}
