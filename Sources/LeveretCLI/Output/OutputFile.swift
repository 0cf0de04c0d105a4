// A file that is written whole or not at all. ExportCommand writes definitions by it.

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// Files that commands write.
enum OutputFile {
    /// Writes a file in the place of what has its name; when that fails, what was there is as it was.
    static func write(_ bytes: some Collection<UInt8>, to path: String) throws(Failure) {
        let part = "\(path)-part\(getpid())"
        let descriptor = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw failure(path) }
        let isWritten = Terminal.write(bytes, to: descriptor) && fsync(descriptor) == 0
        let problem = errno
        close(descriptor)
        guard isWritten, rename(part, path) == 0 else {
            if !isWritten { errno = problem }
            let failure = failure(path)
            unlink(part)
            throw failure
        }
    }

    private static func failure(_ path: String) -> Failure {
        Failure(.refused, "the file '\(path.printable)' can't be written: \(LineClient.reason(errno))")
    }
}
