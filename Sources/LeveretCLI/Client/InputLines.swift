// Standard input and files as lines of bytes, read in pieces: a line is the only thing held.

import Leveret

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// Reads a descriptor line by line.
struct InputLines {
    private let descriptor: CInt
    private let name: String
    private let lineBytesMax: Int
    private var buffer: [UInt8] = []
    private var position = 0
    /// Where the line that begins at `position` ends, once that is known.
    private var lineEnd: Int?
    /// No end of line stands between `position` and here.
    private var searched = 0
    private var atEnd = false
    /// Bytes handed out so far, ends of line included.
    private(set) var bytesRead = 0
    /// Lines handed out so far.
    private var linesRead = 0

    /// Bytes of a line that may hold a body of the largest size, and a key beside it.
    static let lineBytesMax = Input.bodyBytesMax + 1024

    /// Lines of what a descriptor gives, of so many bytes at most; errors call it `name`.
    init(_ descriptor: CInt, named name: String = "standard input", lineBytesMax: Int = Self.lineBytesMax) {
        self.descriptor = descriptor
        self.name = name
        self.lineBytesMax = lineBytesMax
    }

    /// True where `next` has no need to read, and so to wait.
    mutating func hasLine() -> Bool {
        if lineEnd == nil {
            lineEnd = buffer[searched...].firstIndex(of: .lineFeed)
            searched = buffer.count
        }
        return lineEnd != nil || atEnd
    }

    /// The next line without its LF, or `nil` at the end.
    ///
    /// The last line needs no LF.
    ///
    /// - Throws: `Failure` when the descriptor can't be read, or a line is too long.
    mutating func next() throws(Failure) -> ArraySlice<UInt8>? {
        while !hasLine() {
            buffer.removeSubrange(..<position)
            position = 0
            searched = buffer.count
            guard buffer.count <= lineBytesMax else {
                throw Failure(
                    .refused,
                    "line \(linesRead + 1) of \(name) has more than \(lineBytesMax) bytes; no message is so long"
                )
            }
            atEnd = try !Input.read(descriptor, into: &buffer, named: name)
        }
        let end = lineEnd ?? buffer.count
        let after = min(end + 1, buffer.count)
        guard position < after else { return nil }
        defer {
            bytesRead += after - position
            linesRead += 1
            position = after
            searched = after
            lineEnd = nil
        }
        return buffer[position..<end]
    }
}

/// Files and descriptors as bytes.
enum Input {
    /// Bytes that a body may have, whatever a server's limit is.
    static let bodyBytesMax = CoreLimits().bodyBytesMax

    /// Appends what is there; false at the end.
    static func read(
        _ descriptor: CInt,
        into buffer: inout [UInt8],
        named name: String
    ) throws(Failure) -> Bool {
        while true {
            let count = withUnsafeTemporaryAllocation(byteCount: 256 << 10, alignment: 16) { chunk in
                let count = systemRead(descriptor, chunk)
                if count > 0 { buffer.append(contentsOf: chunk[..<count]) }
                return count
            }
            if count >= 0 { return count > 0 }
            if errno == EINTR, Interrupt.hasCome { return false }
            if errno != EINTR {
                throw Failure(.refused, "\(name) can't be read: \(LineClient.reason(errno))")
            }
        }
    }

    /// True where a read would not wait, or will not within so long.
    static func isReady(_ descriptor: CInt, milliseconds: CInt = 0) -> Bool {
        var entry = pollfd(fd: descriptor, events: CShort(POLLIN), revents: 0)
        return poll(&entry, 1, milliseconds) != 0
    }

    /// A descriptor for reading a file, which `finish` closes; `-` is standard input.
    static func begin(_ path: String) throws(Failure) -> CInt {
        if path == "-" { return Terminal.standardInput }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            let status: CommandStatus = errno == ENOENT ? .notFound : .refused
            throw Failure(status, "the file '\(path.printable)' can't be read: \(LineClient.reason(errno))")
        }
        return descriptor
    }

    /// Ends what `begin` began.
    static func finish(_ descriptor: CInt) { if descriptor != Terminal.standardInput { close(descriptor) } }

    /// All of a file with a body in it; `-` is standard input.
    ///
    /// - Throws: `Failure` when it can't be read, or holds more than any server takes.
    static func contents(of path: String, bytesMax: Int = bodyBytesMax) throws(Failure) -> [UInt8] {
        let descriptor = try begin(path)
        defer { finish(descriptor) }
        var bytes: [UInt8] = []
        while try read(descriptor, into: &bytes, named: "'\(path.printable)'") {
            guard bytes.count <= bytesMax else {
                let name = path == "-" ? "standard input" : "the file '\(path.printable)'"
                throw Failure(
                    .refused,
                    "\(name) has more than \(bytesMax) bytes; a body has no more, so nothing was done")
            }
        }
        return bytes
    }

    /// At most about `bytesMax` bytes from the start of a file, and no pipe, which may let one wait for ever.
    static func start(of path: String, bytesMax: Int) throws(Failure) -> [UInt8] {
        var facts = stat()
        if stat(path, &facts) == 0, facts.st_mode & S_IFMT == S_IFIFO || facts.st_mode & S_IFMT == S_IFSOCK {
            throw Failure(.refused, "'\(path.printable)' is a pipe or a socket; name a file")
        }
        let descriptor = try begin(path)
        defer { finish(descriptor) }
        var bytes: [UInt8] = []
        while bytes.count < bytesMax, try read(descriptor, into: &bytes, named: "'\(path.printable)'") {}
        return bytes
    }

    /// Bytes of the file behind a descriptor; `nil` for a pipe or a terminal.
    static func size(of descriptor: CInt) -> Int? {
        var facts = stat()
        guard fstat(descriptor, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG else { return nil }
        return Int(facts.st_size)
    }

    /// True where there is a file that this user may read.
    static func canRead(_ path: String) -> Bool { access(path, R_OK) == 0 }

    /// True where there is a file or a folder.
    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    private static func systemRead(_ descriptor: CInt, _ chunk: UnsafeMutableRawBufferPointer) -> Int {
        #if canImport(Darwin)
        Darwin.read(descriptor, chunk.baseAddress, chunk.count)
        #else
        Glibc.read(descriptor, chunk.baseAddress, chunk.count)
        #endif
    }
}
