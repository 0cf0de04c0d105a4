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

    /// Makes a folder that only this user can look into; whoever asks for it removes it.
    ///
    /// - Throws: `Failure` where there is no room.
    static func folder() throws(Failure) -> String {
        var template = Self.template
        guard mkdtemp(&template) != nil else { throw failure }
        return path(template)
    }

    private static var parent: String { Terminal.environment("TMPDIR") ?? "/tmp" }
    private static var template: [CChar] {
        Array("\(parent)/leveret-\(String(repeating: "X", count: 6))".utf8CString)
    }
    private static func path(_ template: [CChar]) -> String {
        String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
    private static var failure: Failure {
        Failure(
            .refused,
            "no file can be made in '\(parent.printable)': \(LineClient.reason(errno)); set TMPDIR")
    }

    /// Makes one that holds `bytes`. Programs that a command starts don't have its descriptor.
    ///
    /// - Throws: `Failure` where there is no room; then there is no file either.
    init(holding bytes: [UInt8]) throws(Failure) {
        var template = Self.template
        descriptor = mkstemp(&template)
        path = Self.path(template)
        guard descriptor >= 0 else { throw Self.failure }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        guard Terminal.write(bytes, to: descriptor), lseek(descriptor, 0, SEEK_SET) == 0 else {
            close(descriptor)
            unlink(path)
            throw Failure(.refused, "the body can't be written to '\(Self.parent.printable)'; set TMPDIR")
        }
    }
}
