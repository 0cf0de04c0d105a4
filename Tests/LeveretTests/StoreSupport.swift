// The program that the store's tests set beside it.

import Foundation
import LeveretTestSupport
import Testing

/// The `sqlite3` program on a database file.
final class SQLiteShell {
    private let process: ChildProcess
    private let input = Pipe.closedInPrograms()
    private let output = Pipe.closedInPrograms()

    /// Runs statements to their end and returns what was printed, errors included.
    static func run(_ path: String, _ statements: String, readOnly: Bool = false) throws -> String {
        let output = Pipe.closedInPrograms()
        let process = try ChildProcess(
            "/usr/bin/env", ["sqlite3"] + (readOnly ? ["-readonly"] : []) + [path, statements],
            output: output.fileHandleForWriting, errors: output.fileHandleForWriting)
        try output.fileHandleForWriting.close()
        let printed = try output.fileHandleForReading.readToEnd() ?? Data()
        _ = process.waitUntilExit()
        return String(decoding: printed, as: UTF8.self).trimmingCharacters(in: .newlines)
    }

    /// A program that goes on until `end`.
    init(_ path: String) throws {
        process = try ChildProcess(
            "/usr/bin/env", ["sqlite3", path], input: input.fileHandleForReading,
            output: output.fileHandleForWriting)
        try input.fileHandleForReading.close()
        try output.fileHandleForWriting.close()
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
        _ = process.waitUntilExit()
    }
}
