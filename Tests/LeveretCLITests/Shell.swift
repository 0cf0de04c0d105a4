// A server of its own for a test, and the commands of `leveret` run against it.

import Foundation
import LeveretTestSupport
import Testing

/// A server and commands for it.
final class Shell {
    let folder: TemporaryFolder
    let server: ServerProcess
    let database: String

    init(_ arguments: [String] = []) throws {
        let folder = try TemporaryFolder()
        database = folder.path("leveret.db")
        server = try ServerProcess(database: database, arguments: arguments)
        self.folder = folder
    }

    /// What a command needs to find the server, and the built programs.
    var environment: [String: String] {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        return [
            "LEVERET_URL": server.url, "NO_COLOR": "1", "PATH": "\(Program.folder.path()):\(path)",
            "TERM": "xterm", "LC_ALL": "C.UTF-8",
        ]
    }

    /// Runs a line of shell in the database's folder; standard error joins standard output.
    func script(_ line: String, input: String = "", without: Set<String> = []) async throws -> ProgramResult {
        let environment = environment.merging(without.map { ($0, "") }) { $1 }
        return try await runProgram(
            "/bin/bash", ["-c", "exec 2>&1; \(line)"], input: input, environment: environment,
            folder: folder.url
        )
    }

    /// Starts a command and leaves it running.
    func start(_ arguments: [String]) throws -> Program {
        try Program("leveret", arguments, environment: environment)
    }

    /// Starts a program of the system's.
    func start(path: String, _ arguments: [String]) throws -> Program {
        try Program(path, arguments, environment: environment)
    }

    /// Runs a command against the server; `status` is what it must end with.
    @discardableResult
    func run(
        _ arguments: [String], input: String = "", status: Int32 = 0,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> ProgramResult {
        let result = try await runProgram(
            "leveret", arguments, input: input, environment: ["LEVERET_URL": server.url, "NO_COLOR": "1"]
        )
        #expect(result.status == status, "\(arguments): \(result.errors)", sourceLocation: sourceLocation)
        return result
    }
}

/// Runs `leveret` where no server is.
func leveret(
    _ arguments: [String], environment: [String: String] = [:]
) async throws -> ProgramResult {
    try await runProgram("leveret", arguments, environment: ["LEVERET_URL": ""].merging(environment) { $1 })
}
