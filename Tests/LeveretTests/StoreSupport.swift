// Programs and file systems that the store's tests set beside it.

import Foundation
import Testing

/// The `sqlite3` program on a database file.
final class SQLiteShell {
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()

    /// Runs statements to their end and returns what was printed, errors included.
    static func run(_ path: String, _ statements: String, readOnly: Bool = false) throws -> String {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["sqlite3"] + (readOnly ? ["-readonly"] : []) + [path, statements]
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let printed = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return String(decoding: printed, as: UTF8.self).trimmingCharacters(in: .newlines)
    }

    /// A program that goes on until `end`.
    init(_ path: String) throws {
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["sqlite3", path]
        process.standardInput = input
        process.standardOutput = output
        try process.run()
    }

    /// Sends statements and waits until the last of them has printed `word`.
    func send(_ statements: String, awaiting word: String) throws {
        try input.fileHandleForWriting.write(contentsOf: Data("\(statements)\n".utf8))
        var printed = ""
        while !printed.contains(word) {
            let data = output.fileHandleForReading.availableData
            try #require(!data.isEmpty, "sqlite3 ended after '\(printed)'")
            printed += String(decoding: data, as: UTF8.self)
        }
    }

    func end() {
        try? input.fileHandleForWriting.close()  // that ends the program
        process.waitUntilExit()
    }
}

/// A file system in memory, as small as a test wants it.
struct SmallDisk {
    let path: String

    static let isPossible = geteuid() == 0 && canMount

    private static var canMount: Bool {
        let folder = FileManager.default.temporaryDirectory.appending(
            path: "leveret-mount-\(UUID().uuidString)"
        ).path()
        // What is left is the system's to clean.
        defer { try? FileManager.default.removeItem(atPath: folder) }
        guard let disk = try? SmallDisk(at: folder, kibibytes: 64) else { return false }
        disk.unmount()
        return true
    }

    init(at path: String, kibibytes: Int) throws {
        self.path = path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try Self.run("mount", "-t", "tmpfs", "-o", "size=\(kibibytes)k", "tmpfs", path)
    }

    func makeReadOnly() throws { try Self.run("mount", "-o", "remount,ro", path) }

    /// Fills the disk with a file, up to what is to be left.
    func fill(leavingKibibytes left: Int) throws {
        let attributes = try FileManager.default.attributesOfFileSystem(forPath: path)
        let free = try #require(attributes[.systemFreeSize] as? NSNumber).intValue
        try Data(count: free - left << 10).write(to: URL(filePath: path + "/filler"))
    }

    /// Takes the file away again.
    func clear() throws { try FileManager.default.removeItem(atPath: path + "/filler") }

    func unmount() { try? Self.run("umount", "-l", path) }

    private static func run(_ arguments: String...) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = arguments
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
    }
}
