// What the store does with files beside SQLite: looking, making and removing folders. Through the C library,
// because Foundation would double the size of a program that embeds Leveret. None of it opens a database; why,
// says DatabaseFile.swift.

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Files and folders by their paths.
enum Files {
    /// Whether there is a file or a folder at `path`, be it behind links.
    static func exists(_ path: String) -> Bool { mode(of: path) != nil }

    /// Whether there is a folder at `path`, be it behind links.
    static func isFolder(_ path: String) -> Bool {
        mode(of: path).map { $0 & mode_t(S_IFMT) == mode_t(S_IFDIR) } ?? false
    }

    /// Whether there is something at `path` that is neither a file nor a folder: a device, a pipe, a socket.
    static func isNoRegularFile(_ path: String) -> Bool {
        mode(of: path).map { ![mode_t(S_IFREG), mode_t(S_IFDIR)].contains($0 & mode_t(S_IFMT)) } ?? false
    }

    /// Whether this user may read the file at `path`.
    static func isReadable(_ path: String) -> Bool { access(path, R_OK) == 0 }

    /// Whether this user may write the file at `path`.
    static func isWritable(_ path: String) -> Bool { access(path, W_OK) == 0 }

    /// What tells the file at `path` from every other on this machine: its device and its number there.
    static func id(of path: String) -> String? {
        var found = stat()
        return stat(path, &found) == 0 ? "\(found.st_dev):\(found.st_ino)" : nil
    }

    /// Whether both paths lead to the same file.
    static func isSame(_ path: String, _ other: String) -> Bool {
        var (found, otherFound) = (stat(), stat())
        return stat(path, &found) == 0 && stat(other, &otherFound) == 0 && found.st_ino == otherFound.st_ino
            && found.st_dev == otherFound.st_dev
    }

    /// Gives the file at `path` the rights of the one at `other`, if there is one.
    static func copyRights(to path: String, from other: String) {
        if let mode = mode(of: other) { chmod(path, mode & 0o777) }
    }

    /// The rights of a file that is made: messages, and what stands for passwords, are for this user alone.
    static let rights: mode_t = 0o600

    /// Makes an empty file with these rights, unless there is one. Where it can't, whoever opens it says why.
    static func make(_ path: String) {
        guard !exists(path) else { return }
        let descriptor = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, rights)
        if descriptor >= 0 { close(descriptor) }
    }

    /// The folder that the file at `path` lies in, or would.
    static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// The path from the root on, so that it means the same to a program in another folder.
    static func absolute(_ path: String) -> String {
        if path.hasPrefix("/") { return path }
        var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
        guard getcwd(&bytes, bytes.count) != nil else { return path }
        let folder = String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return "\(folder)/\(path)"
    }

    /// The file that links at `path` lead to, there or not; `path` itself where there is none.
    static func followingLinks(_ path: String) -> String {
        var found = path
        for _ in 0..<40 {
            guard let next = target(ofLink: found) else { break }
            let folder = found.prefix(through: found.lastIndex(of: "/") ?? found.startIndex)
            found = next.hasPrefix("/") || !found.contains("/") ? next : folder + next
        }
        return found
    }

    /// Where the link at `path` leads; `nil` where there is none.
    private static func target(ofLink path: String) -> String? {
        var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(path, &bytes, bytes.count)
        guard count > 0 else { return nil }
        return String(decoding: bytes.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// A new, empty folder for one's own in the system's folder for temporary files; `nil` where none can be made.
    static func makeTemporaryFolder() -> String? {
        let unique = String(repeating: "X", count: 6)  // replaced by what no other has
        var template = Array("\(temporaryFolder)/leveret-\(unique)".utf8CString)
        guard mkdtemp(&template) != nil else { return nil }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// `TMPDIR`, or `/tmp` where that is not set.
    static var temporaryFolder: String {
        guard let set = getenv("TMPDIR"), set.pointee != 0 else { return "/tmp" }
        return String(cString: set)
    }

    /// Removes a folder and the files in it, as far as that goes.
    static func removeFolder(_ path: String) {
        if let folder = opendir(path) {
            while let entry = readdir(folder) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 1) { String(cString: $0) }
                }
                if name != ".", name != ".." { unlink("\(path)/\(name)") }
            }
            closedir(folder)
        }
        rmdir(path)
    }

    /// Gives a file another name, in the place of what has that name, and sees that the name is on the disk.
    /// Returns what the system says when it can't.
    static func rename(_ path: String, to name: String) -> String? {
        #if canImport(Darwin)
        let code = Darwin.rename(path, name)
        #elseif canImport(Musl)
        let code = Musl.rename(path, name)
        #else
        let code = Glibc.rename(path, name)
        #endif
        guard code == 0 else { return String(cString: strerror(errno)) }
        let descriptor = open(folder(of: name), O_RDONLY | O_CLOEXEC)
        if descriptor >= 0 {
            fsync(descriptor)
            close(descriptor)
        }
        return nil
    }

    /// Removes the file at `path`, if there is one.
    static func remove(_ path: String) { unlink(path) }

    /// This process's number.
    static var processNumber: Int32 { getpid() }

    private static func mode(of path: String) -> mode_t? {
        var found = stat()
        return stat(path, &found) == 0 ? found.st_mode : nil
    }
}
