// The program that the store's tests set beside it.

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
