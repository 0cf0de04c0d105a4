// `leveret jobs` and `leveret cron` beside the library that they show: on a file, on a server that has it, and on a process
// that runs jobs and listens.

import Foundation
import Leveret
import LeveretServer
import LeveretTasks
import LeveretTestSupport
import Logging
import Testing

private struct Mail: Job {
    static let name = "mail"
    static let options = EnqueueOptions(queue: "mails", maxAttempts: 1)
    var to: String
}

private struct Greet: Job {
    typealias Output = String
    static let name = "greet"
    static let retry = RetryPolicy.every(.seconds(3_600))
    var who: String
}

private struct Unreachable: Error, CustomStringConvertible {
    var description: String { "no such host" }
}

/// A file with jobs in every state but running, and the ids of some.
private final class JobFile {
    private let folder: TemporaryFolder
    let path: String
    private var ids: [String: String] = [:]

    init() async throws {
        folder = try TemporaryFolder()
        path = folder.path("jobs.db")
        var configuration = Broker.Configuration()
        configuration.logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let broker = try Broker(.file(path), configuration: configuration)
        var tasks = Jobs.Configuration()
        tasks.logger = configuration.logger
        let jobs = Jobs(broker, configuration: tasks)
        try await enqueue(jobs)
        let worker = try JobWorker(jobs, queues: [.default: 2, "mails": 2]) { handlers in
            handlers.add(Greet.self) { greet, context in
                context.log("greeting \(greet.who)")
                context.progress(0.5, "half of it")
                if greet.who == "bob" { throw Unreachable() }
                return "hello, \(greet.who)"
            }
            handlers.add(Mail.self) { _ in throw Unreachable() }
        }
        let run = Task { try await worker.run() }
        for (state, queue) in [
            (JobState.completed, JobQueue.default), (.retryable, .default), (.discarded, "mails"),
            (.unclaimed, .default),
        ] { while try await jobs.list(state, in: queue).isEmpty { await Task.yield() } }
        run.cancel()
        _ = await run.result
        try await plan(jobs)
        try await broker.shutdown()
    }

    private func enqueue(_ jobs: Jobs) async throws {
        struct Unknown: Job { static let name = "unknown" }
        ids["completed"] = try await jobs.enqueue(Greet(who: "ann")).id.rawValue
        ids["retryable"] = try await jobs.enqueue(Greet(who: "bob")).id.rawValue
        let later = EnqueueOptions(start: .after(.seconds(86_400)), limitKey: "cid")
        ids["scheduled"] = try await jobs.enqueue(Greet(who: "cid"), later).id.rawValue
        ids["discarded"] = try await jobs.enqueue(Mail(to: "a@b")).id.rawValue
        ids["unclaimed"] = try await jobs.enqueue(Unknown()).id.rawValue
        var flow = Workflow()
        let first = flow.add(Greet(who: "first"), later)
        let then = flow.add(Greet(who: "then"), after: first)
        ids["dependent"] = try await jobs.enqueue(flow)[then].rawValue
        ids["first"] = try await jobs.enqueue(Greet(who: "dan"), later).id.rawValue
    }

    private func plan(_ jobs: Jobs) async throws {
        let periodic = try PeriodicJobs(
            jobs,
            [
                PeriodicJob("nightly", .cron("30 2 * * *", in: "Europe/Berlin"), catchUp: .all(max: 7)) { _ in
                    Greet(who: "night")
                },
                PeriodicJob("often", .every(.seconds(5_400))) { _ in Greet(who: "often") },
            ])
        let run = Task { try await periodic.run() }
        while try await jobs.schedules().count < 2 { await Task.yield() }
        run.cancel()
        _ = await run.result
        try await jobs.pauseSchedule("often")
    }

    func id(_ state: String) throws -> String { try #require(ids[state]) }

    func jobs(_ arguments: String...) async throws -> ProgramResult {
        try await leveret(["jobs"] + arguments + ["--db", path])
    }

    func state(_ id: String) async throws -> String {
        let shown = try await jobs("show", id, "-o", "csv", "--columns", "state")
        return shown.output.split(separator: "\n").last.map(String.init) ?? shown.errors
    }
}

@Suite(.timeLimit(.minutes(10))) struct JobsCommandTests {
    @Test func `a file's jobs are listed by state, queue and name`() async throws {
        let file = try await JobFile()
        let columns = ["-o", "csv", "--columns", "state,queue,name,attempts,error"]
        let all = try await leveret(["jobs", "--db", file.path] + columns)
        #expect(
            all.output == """
                state,queue,name,attempts,error
                scheduled,default,greet,0,
                scheduled,default,greet,0,
                scheduled,default,greet,0,
                retryable,default,greet,1,no such host
                dependent,default,greet,0,
                unclaimed,default,unknown,0,
                discarded,mails,mail,1,no such host

                """)
        let done = try await file.jobs("list", "--state", "completed", "-o", "json", "--columns", "id,output")
        #expect(done.output == #"{"id":"\#(try file.id("completed"))","output":"hello, ann"}"# + "\n")
        let some = try await file.jobs(
            "--queue", "default", "--name", "greet", "--state", "scheduled", "--limit", "1", "-o", "json",
            "--columns", "id,payload,limit_key")
        #expect(
            some.output
                == #"{"id":"\#(try file.id("scheduled"))","payload":{"who":"cid"},"limit_key":"cid"}"# + "\n")
        #expect(
            try await file.jobs("--name", "none").output.contains("no job waits, runs or has failed that"))
        #expect(try await file.jobs("--state", "running").output == "no job is running\n")
        let wrong = try await file.jobs("--queue", "none")
        #expect(wrong.status == 5 && wrong.errors.contains("there are 'default', 'mails'"))
        #expect(try await file.jobs("--state", "done").status == 2)
    }

    @Test func `a job is shown with all that is known of it`() async throws {
        let file = try await JobFile()
        let shown = try await file.jobs("show", try file.id("retryable"))
        for part in [
            "state          retryable\n", "attempts       1\n", "progress       0.5\n",
            "error          no such host\n",
            "\nerrors\n  attempt 1, 20", "): no such host\n", "\nlog\n  greeting bob\n",
            "\npayload\n{\n  \"who\": \"bob\"\n}\n",
        ] { #expect(shown.output.contains(part), "\(part) in\n\(shown.output)") }
        let chosen = try await file.jobs(
            "show", try file.id("completed"), "-o", "json", "--columns", "log,output")
        #expect(chosen.output == #"{"log":["greeting ann"],"output":"hello, ann"}"# + "\n")
        let none = try await file.jobs("show", "nobody")
        #expect(none.status == 5 && none.errors.contains("no job 'nobody'"))
    }

    @Test func `a file that nobody has is changed`() async throws {
        let file = try await JobFile()
        let discarded = try file.id("discarded")
        #expect(try await file.jobs("retry", discarded).output == "job \(discarded) is back in its queue\n")
        #expect(try await file.state(discarded) == "available")
        let (bob, cid) = (try file.id("retryable"), try file.id("scheduled"))
        #expect(
            try await file.jobs("run-now", bob, cid).output == "job \(bob) is due\njob \(cid) is due\n")
        #expect(try await file.state(bob) == "available")
        #expect(try await file.state(cid) == "available")
        let unclaimed = try file.id("unclaimed")
        #expect(try await file.jobs("cancel", cid, unclaimed).status == 0)
        #expect(try await file.state(cid) == "cancelled")
        #expect(try await file.state(unclaimed) == "cancelled")
        let why = try await file.jobs("show", cid, "-o", "csv", "--columns", "reason,due")
        #expect(why.output == "reason,due\ncancelled while it waited,\n")
        for act in ["retry", "cancel", "run-now"] {
            let refused = try await file.jobs(act, cid)
            #expect(refused.status == 5 && refused.errors.contains(cid), "\(act): \(refused.errors)")
        }
        // The worker that it is to be cancelled by has not been there yet.
        let asked = try await file.jobs("cancel", try file.id("dependent"))
        #expect(
            asked.output.contains("waits for other jobs; a worker records it as cancelled, once one runs"))
        #expect(try await file.state(try file.id("dependent")) == "dependent")
        let shown = try await file.jobs("show", try file.id("dependent"))
        #expect(shown.output.contains("cancelling    yes\n"), "\(shown.output)")
    }

    @Test func `jobs are chosen by queue, kind and state, and it is said how many they are`() async throws {
        let file = try await JobFile()
        for act in ["retry", "cancel"] {
            for which in [[], ["x", "--name", "greet"]] {
                let wrong = try await leveret(["jobs", act] + which + ["--db", file.path])
                #expect(wrong.status == 2 && wrong.errors.contains("Say which jobs"), "\(wrong.errors)")
            }
        }
        #expect(try await file.jobs("run-now").status == 2)
        #expect(try await file.jobs("cancel", "--state", "completed").status == 2)
        let none = try await file.jobs("retry", "--name", "greet")
        #expect(none.output == "no job meets the options\n")
        let asked = try await file.jobs("retry", "--name", "mail")
        #expect(asked.status == 2 && asked.errors.contains("this is about 1 job and nobody is here to ask"))
        let back = try await file.jobs("retry", "--name", "mail", "--yes")
        #expect(back.output == "1 job put back\n", "\(back.errors)")
        #expect(try await file.state(try file.id("discarded")) == "available")

        let would = try await file.jobs("cancel", "--queue", "default", "--limit", "4", "--dry-run")
        #expect(would.output == "this would cancel 4 jobs\n", "\(would.errors)")
        let some = try await file.jobs("cancel", "--state", "scheduled", "--limit", "1", "--yes")
        #expect(some.output == "1 job cancelled\n")
        #expect(try await file.state(try file.id("scheduled")) == "cancelled")
        let rest = try await file.jobs("cancel", "--name", "greet", "--queue", "default", "--yes")
        #expect(
            rest.output
                == "2 jobs cancelled; 2 more will be by the worker that has them or takes them next\n")
        let marked = try await leveret(["jobs", "--name", "greet", "--db", file.path])
        #expect(marked.output.contains("available (cancelling)"), "\(marked.output)")
        let columns = ["-o", "csv", "--columns", "id,state,cancelling"]
        let rows = try await leveret(["jobs", "--state", "available", "--db", file.path] + columns)
        let row = try #require(rows.output.split(separator: "\n").dropFirst().first?.split(separator: ","))
        #expect(row[1...] == ["available", "true"], "\(rows.output)")
        let due = try await file.jobs("run-now", String(row[0]))
        #expect(due.status == 6 && due.errors.contains("is to be cancelled and will not run"))
        for name in ["retryable", "first"] {
            #expect(try await file.state(try file.id(name)) == "cancelled")
        }
    }

    @Test func `a server on the file does the same, and has the file to itself`() async throws {
        let file = try await JobFile()
        let server = try ServerProcess(database: file.path)
        func jobs(_ arguments: String...) async throws -> ProgramResult {
            try await leveret(["jobs"] + arguments, environment: ["LEVERET_URL": server.url])
        }
        let discarded = try file.id("discarded")
        #expect(try await jobs("retry", discarded).status == 0)
        #expect(try await jobs("show", discarded).output.contains("available"))
        #expect(try await file.state(discarded) == "available")
        #expect(try await file.jobs("cancel", discarded).status == 6)
        #expect(try await jobs("cancel", discarded).output == "job \(discarded) is cancelled\n")
        #expect(
            try await jobs("--state", "cancelled", "-o", "csv", "--columns", "id").output
                == "id\n\(discarded)\n")
    }

    @Test func `who is no administrator finds jobs by their ids, too`() async throws {
        let file = try await JobFile()
        for arguments in [["ops", "--tags", "administrator"], ["app", "--tags", "monitoring"]] {
            let added = try await runProgram(
                "leveret", ["user", "add"] + arguments + ["--db", file.path],
                environment: ["LEVERET_NEW_PASSWORD": "pass", "LEVERET_URL": ""])
            #expect(added.status == 0, "\(added.errors)")
        }
        let server = try ServerProcess(database: file.path, arguments: ["--local-auth", "required"])
        func run(_ arguments: [String], as user: String) async throws -> ProgramResult {
            try await runProgram(
                "leveret", arguments,
                environment: [
                    "LEVERET_URL": "leveret://\(user)@127.0.0.1:\(server.port)", "LEVERET_PASSWORD": "pass",
                    "NO_COLOR": "1",
                ])
        }
        #expect(try await run(["permission", "set", "app", "", ".*", ".*"], as: "ops").status == 0)
        let dependent = try file.id("dependent")
        let shown = try await run(["jobs", "show", dependent], as: "app")
        #expect(shown.output.contains("dependent"), "\(shown.errors)")
        let asked = try await run(["jobs", "cancel", dependent], as: "app")
        #expect(
            asked.output.contains("waits for other jobs; a worker records it as cancelled"), "\(asked.errors)"
        )
    }

    @Test func `a process that runs jobs is asked to cancel one`() async throws {
        let folder = try TemporaryFolder()
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        var configuration = Broker.Configuration()
        configuration.logger = logger
        let broker = try Broker(.file(folder.path("jobs.db")), configuration: configuration)
        var settings = ServerConfiguration()
        settings.addresses = [.unix(path: folder.path("socket"))]
        let server = Server(broker: broker, configuration: settings, logger: logger)
        _ = try await server.start()
        let jobs = Jobs(broker)
        let job = try await jobs.enqueue(Greet(who: "ann"))
        let worker = try JobWorker(jobs) { handlers in
            handlers.add(Greet.self) { _ in
                let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
                for await _ in stream {}
                withExtendedLifetime(continuation) {}
                throw CancellationError()
            }
        }
        let run = Task { try await worker.run() }
        while try await jobs.list(.running).isEmpty { await Task.yield() }
        let url = ["--url", "unix:\(folder.path("socket"))"]
        let running = try await leveret(["jobs", "--state", "running", "-o", "csv", "--columns", "id"] + url)
        #expect(running.output == "id\n\(job.id)\n")
        let cancel = try await leveret(["jobs", "cancel", job.id.rawValue] + url)
        #expect(cancel.output.contains("is asked to cancel it"), "\(cancel.errors)")
        while try await jobs.find(job.id)?.state != .cancelled { await Task.yield() }
        run.cancel()
        _ = await run.result
        try await server.stop()
        try await broker.shutdown()
    }

    @Test func `schedules are listed with what they are and when they are due`() async throws {
        let file = try await JobFile()
        func cron(_ arguments: String...) async throws -> ProgramResult {
            try await leveret(["cron", "--db", file.path, "-o", "csv"] + arguments)
        }
        let all = try await cron("--columns", "name,expression,zone,job,last,catch_up,count")
        #expect(
            all.output == """
                name,expression,zone,job,last,catch_up,count
                nightly,30 2 * * *,Europe/Berlin,greet,,all 7,0
                often,every 5400 s,,greet,,once,0

                """)
        let next = try await cron("n*", "--columns", "next,paused_since").output.split(separator: "\n")
        #expect(next.count == 2 && next[1].contains(/^20..-..-..T0.:30:00.000Z,$/))
        #expect(try await cron("often", "--columns", "paused_since").output.contains("T"))
        #expect(try await leveret(["cron", "x", "--db", file.path]).output == "no schedule matches 'x'\n")
    }

    @Test func `where there are no jobs that is said`() async throws {
        let shell = try Shell()
        #expect(try await shell.run(["jobs"]).output.hasPrefix("no queue of background jobs is here: "))
        #expect(try await shell.run(["cron"]).output == "there are no schedules\n")
        #expect(try await shell.run(["jobs", "cancel", "x"], status: 5).errors.contains("job x neither"))
    }
}
