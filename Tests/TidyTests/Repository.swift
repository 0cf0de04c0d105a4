// The repository as the tidy tests see it: its root, and its files as text. Finds the root from this
// file's own path, so the tests work from any folder.

import Foundation

/// A file of the repository that people write by hand.
struct SourceFile: Sendable, CustomStringConvertible {
    /// Its path below the root, with `/`.
    let path: String
    /// What it says.
    let text: String

    /// Its lines, without their ends.
    var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }

    /// What a failing test shows.
    var description: String { path }
}

/// What git would hand to somebody who clones the project.
enum Repository {
    /// The folder that holds `Package.swift`.
    static let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// Every hand-written text file. Files of data are left out.
    static let files: [SourceFile] = everyFile()

    /// The Swift files below these folders.
    static func swiftFiles(in folders: String...) -> [SourceFile] {
        files.filter { file in
            file.path.hasSuffix(".swift") && folders.contains { file.path.hasPrefix($0 + "/") }
        }
    }

    /// The file at `path`, or `nil`.
    static func file(_ path: String) -> SourceFile? { files.first { $0.path == path } }

    /// True where there is a file or a folder at `path`.
    static func exists(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: root.appending(path: path).path())
    }

    private static func everyFile() -> [SourceFile] {
        let top = ["Sources", "Tests", "examples", "docs", "Benchmarks", "FuzzTesting", ".ci"]
        let folders = top.flatMap { folder -> [String] in
            let below = FileManager.default.enumerator(atPath: root.appending(path: folder).path())
            return (below?.allObjects as? [String] ?? []).map { folder + "/" + $0 }
        }
        let files = (try? FileManager.default.contentsOfDirectory(atPath: root.path())) ?? []
        return (files + folders).sorted().filter(isWritten).compactMap { path in
            guard let data = try? Data(contentsOf: root.appending(path: path)) else { return nil }
            return String(data: data, encoding: .utf8).map { SourceFile(path: path, text: $0) }
        }
    }

    private static func isWritten(_ path: String) -> Bool {
        let parts = path.split(separator: "/")
        if parts.contains(where: { $0.hasPrefix(".build") || $0 == ".swiftpm" || $0 == ".git" }) {
            return false
        }
        if path.hasSuffix("Package.resolved") || path.hasSuffix(".csv") { return false }
        return ![".db", ".db-wal", ".db-shm", ".db-lock"].contains { path.hasSuffix($0) }
    }
}
