// A file that is written whole or not at all. ExportCommand writes definitions by it.

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// Files that commands write.
enum OutputFile {
    /// Writes a file in the place of what has its name; when that fails, what was there is as it was. A new file is for
    /// this user alone, another keeps its rights.
    static func write(_ bytes: some Collection<UInt8>, to path: String) throws(Failure) {
        let part = "\(path)-part\(getpid())"
        unlink(part)
        let descriptor = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure(path) }
        var before = stat()
        if stat(path, &before) == 0 { fchmod(descriptor, before.st_mode & 0o777) }
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
