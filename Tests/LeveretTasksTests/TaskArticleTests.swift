// The article docs/tasks.md as a program: its code stands here word for word, in order, and runs. Only the file, there
// in the current folder, is here in memory, with its time in the test's hand, and workers end. What needs GRDB is in
// Tests/LeveretTasksGRDBTests/OutboxTests.swift.

import Foundation
import Leveret
import LeveretServer
import LeveretTasks
import LeveretTestSupport
import Logging
import ServiceLifecycle
import Testing
import UnixSignals

private struct NightlyReport: Job {
    static let name = "nightly-report"
    var from: Int64?
    var until: Int64
}

private struct PollFeeds: Job {
    static let name = "poll-feeds"
}

/// What a program of the article prints, and the time that it has.
private struct Stage {
    let hand = Hand()
    let journal = Journal()

    /// Ends a worker when so many lines are printed and its jobs are settled; what waits to be tried again is due at
    /// once.
    func end(_ running: Task<Void, any Error>, of jobs: Jobs, after lines: Int) async throws {
        try await until {
            for queue in try await jobs.queues() {
                for job in try await jobs.list(.retryable, in: queue) { try await jobs.runNow(job.id) }
            }
            return journal.all.count >= lines
        }
        for queue in try await jobs.queues() {
            try await until { try await jobs.list(.running, in: queue).isEmpty }
        }
        running.cancel()
        _ = await running.result
    }
}

@Suite(.timeLimit(.minutes(10))) struct TaskArticleTests {
    @Test func `the article's program runs`() async throws {
        let stage = Stage()
        let folder = try TemporaryFolder()
        let configuration = Bench.brokerConfiguration(stage.hand)
        @Sendable func print(_ line: String) { stage.journal.note(line) }

        struct SendReceipt: Job {
            static let name = "send-receipt"
            var order: Int
        }

        struct MailServerBusy: Error {}

        let jobs = Jobs(try Broker(.memory, configuration: configuration))
        let worker = try JobWorker(jobs) { handlers in
            handlers.add(SendReceipt.self) { receipt, context in
                print("order \(receipt.order), attempt \(context.attempt)")
                if context.attempt < 3 { throw MailServerBusy() }
            }
        }

        let receipt = try await jobs.enqueue(SendReceipt(order: 7))
        print("job \(receipt.id) is on disk")
        let running = Task {
            try await worker.run()
        }
        try await stage.end(running, of: jobs, after: 4)

        struct UpdateStock: Job {
            static let name = "update-stock"
            static let options = EnqueueOptions(queue: "stock")
            var item: String
        }

        try await jobs.enqueue(SendReceipt(order: 8), .init(start: .after(.seconds(3_600)), priority: .high))
        let tomorrow = Date(timeIntervalSinceNow: 86_400)
        try await jobs.enqueue(SendReceipt(order: 9), .init(start: .at(date: tomorrow)))
        try await jobs.enqueue(all: (10..<1_010).map { SendReceipt(order: $0) })

        var batch = JobBatch()
        batch.add(SendReceipt(order: 2_000))
        batch.add(UpdateStock(item: "lamp"))
        try await jobs.enqueue(batch)

        let first = try await jobs.enqueue(UpdateStock(item: "sofa"), .init(unique: .whilePending))
        let second = try await jobs.enqueue(UpdateStock(item: "sofa"), .init(unique: .whilePending))
        print("\(second.outcome), and it is the first: \(second.id == first.id)")

        struct ExportOrders: Job {
            typealias Output = Int
            static let name = "export-orders"
            static let timeout: Duration? = .seconds(60)
            var pages: Int
        }

        func register(_ handlers: inout JobHandlers) {
            handlers.add(ExportOrders.self) { export, context in
                for page in (context.cursor(as: Int.self) ?? 0)..<export.pages {
                    context.log("page \(page)")
                    context.progress(Double(page) / Double(export.pages), "page \(page) of \(export.pages)")
                    try await context.setCursor(page + 1)
                }
                try await context.whenCompleted(enqueue: SendReceipt(order: 0))
                return export.pages
            }
            handlers.add(UpdateStock.self) { stock in
                guard stock.item != "unicorn" else { throw JobExit.discard("we sell no unicorns") }
                print("stock of \(stock.item)")
            }
        }

        struct ChargeCard: Job {
            static let name = "charge-card"
            static let options = EnqueueOptions(queue: "payments", maxAttempts: 4)
            static let retry = RetryPolicy.schedule([.seconds(5), .seconds(60), .seconds(3_600)])
            var customer: String
            var cents: Int
        }

        let payments = try JobWorker(
            jobs,
            queues: [
                "payments": .init(concurrency: 20, perKey: 1, rate: .init(100, per: .seconds(1))),
                "stock": 4,
            ],
            shutdownLimit: .seconds(10)
        ) { handlers in
            register(&handlers)
            handlers.add(ChargeCard.self) { charge in print("\(charge.customer) pays \(charge.cents)") }
        }
        try await jobs.enqueue(ChargeCard(customer: "ann", cents: 500), .init(limitKey: "ann"))

        struct Ship: Job {
            static let name = "ship"
            static let aliases = ["send-parcel"]
            static let version = 2
            static let defaults: JobPayload = ["carrier": "post"]
            var order: Int
            var carrier: String

            static func upgrade(_ payload: inout JobPayload, from version: Int) {
                payload["order"] = payload["number"]
            }
        }
        try await checkUpgrade(of: Ship.self, in: jobs) { "\($0.order) by \($0.carrier)" }

        struct CountOrders: Job {
            typealias Output = Int
            static let name = "count-orders"
            var country: String
        }

        struct SumOrders: Job {
            static let name = "sum-orders"
        }

        var flow = Workflow()
        let parts = ["DE", "SE", "FR"].map { flow.add(CountOrders(country: $0)) }
        let sum = flow.add(SumOrders(), after: parts)
        flow.add(UpdateStock(item: "nothing, the count has failed"), after: parts, when: .anyFailed)
        let ids = try await jobs.enqueue(flow)
        print("the sum has an id already: \(ids.all.contains(ids[sum]))")

        let counting = try JobWorker(jobs) { handlers in
            handlers.add(CountOrders.self) { count in count.country.utf8.count }
            handlers.add(SumOrders.self) { _, context in
                print("\(context.outputs(as: Int.self).reduce(0, +)) orders")
            }
        }
        try await stage.end(Task { try await counting.run() }, of: jobs, after: 7)

        let nights = try Timing.cron("30 2 * * *", in: "Europe/Berlin")
        let nightly = PeriodicJob("nightly-report", nights, catchUp: .all(max: 7)) { tick in
            NightlyReport(from: tick.previous?.milliseconds, until: tick.moment.milliseconds)
        }
        let polling = PeriodicJob("poll-feeds", .every(.seconds(300)), jitter: .seconds(20)) { _ in
            PollFeeds()
        }
        let periodic = try PeriodicJobs(jobs, [nightly, polling])
        withExtendedLifetime(periodic) {}

        let group = ServiceGroup(
            services: [jobs.broker, payments],
            gracefulShutdownSignals: [.sigterm, .sigint],
            logger: Logger(label: "shop")
        )
        let served = stage.journal.all.count + 3
        let serving = Task {
            try await group.run()
        }
        try await until { stage.journal.all.count >= served }

        struct Stamp: JobMiddleware {
            let version: String

            func enqueue(_ job: inout JobToEnqueue) { job.headers["enqueued-by"] = .string(version) }

            func run(_ context: JobContext, _ next: () async throws -> Void) async throws {
                let stamp = context.message.properties?.headers["enqueued-by"]
                context.logger.info("begins", metadata: ["enqueued_by": "\(stamp.map { "\($0)" } ?? "-")"])
                try await next()
            }
        }

        var settings = Jobs.Configuration()
        settings.middleware.append(Stamp(version: "2.1"))
        settings.keepsCompletedFor = .seconds(7 * 86_400)
        let stamping = Jobs(jobs.broker, configuration: settings)
        try await stamping.enqueue(UpdateStock(item: "chair"))
        try await until { stage.journal.all.last == "stock of chair" }
        try await until { try await jobs.list(.running, in: "stock").isEmpty }

        for job in try await jobs.list(.retryable) {
            print("\(job.name) \(job.id): \(job.attempts) attempts, \(job.errors.last?.error ?? "")")
        }
        let last = try await jobs.latest(.completed, count: 10)
        if let job = last.first, let again = try await jobs.find(job.id) {
            print("\(again.name) is \(again.state.rawValue)")
        }

        var listening = ServerConfiguration()
        listening.addresses = [.unix(path: folder.path("shop.socket"))]
        let server = Server(broker: jobs.broker, configuration: listening)
        withExtendedLifetime(server) {}

        await group.triggerGracefulShutdown()
        try await serving.value

        let printed = stage.journal.all
        #expect(printed.first == "job \(receipt.id) is on disk")
        #expect(printed[1...3] == ["order 7, attempt 1", "order 7, attempt 2", "order 7, attempt 3"])
        #expect(
            printed[4...6] == [
                "existing, and it is the first: true", "the sum has an id already: true", "6 orders",
            ])
        #expect(printed[7...9].sorted() == ["ann pays 500", "stock of lamp", "stock of sofa"])
        #expect(printed[10...] == ["stock of chair", "sum-orders is completed"])
    }

    /// Runs a job as the version of before enqueued it.
    private func checkUpgrade<J: Job>(
        of: J.Type, in jobs: Jobs, _ shown: @escaping @Sendable (J) -> String
    ) async throws where J.Output == Void {
        let seen = Journal()
        let worker = try JobWorker(jobs, queues: ["parcels": 1]) { $0.add(J.self) { seen.note(shown($0)) } }
        try await jobs.declare("parcels")
        var properties = MessageProperties()
        properties.type = "send-parcel"
        try await jobs.broker.publish(
            #"{"number":5}"#, to: JobQueue("parcels").waiting, properties: properties)
        let running = Task { try await worker.run() }
        try await until { try await !jobs.list(.completed, in: "parcels").isEmpty }
        #expect(seen.all == ["5 by post"])
        running.cancel()
        _ = await running.result
    }

    struct Greeting: Job {
        static let name = "greeting"
        var who: String
        var isFirst = true
    }

    func signUp(_ who: String, _ jobs: Jobs) async throws {
        try await jobs.enqueue(Greeting(who: who))
    }

    @Test func `a new customer is greeted, and asked again a week later`() async throws {
        let test = try JobTest { handlers in
            handlers.add(Greeting.self) { greeting, context in
                guard greeting.isFirst else { return }
                let later = EnqueueOptions(start: .after(.seconds(7 * 86_400)))
                try await context.whenCompleted(enqueue: Greeting(who: greeting.who, isFirst: false), later)
            }
        }
        try await signUp("ann", test.jobs)
        #expect(try await test.enqueued(Greeting.self).map(\.who) == ["ann"])
        try await test.runUntilEmpty()
        #expect(try await test.list(.scheduled).count == 1)
        try await test.advance(by: .seconds(7 * 86_400))
        #expect(try await test.enqueued(Greeting.self).isEmpty)
    }

    @Test func `the article's code is the code above, or that of the outbox's tests`() throws {
        let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        func lines(_ path: String) throws -> [String] {
            try String(contentsOf: tests.appending(path: path), encoding: .utf8)
                .split(separator: "\n", omittingEmptySubsequences: false)
                .map { $0.trimmingCharacters(in: .whitespaces) }
        }
        let article = try lines("../docs/tasks.md").map {
            $0.replacing(#".file("shop.db")"#, with: ".memory, configuration: configuration")
                .replacing(#""shop.socket""#, with: #"folder.path("shop.socket")"#)
        }
        var sources = [
            try lines("LeveretTasksTests/TaskArticleTests.swift")[...],
            try lines("LeveretTasksGRDBTests/OutboxTests.swift")[...],
        ]
        let blocks = article.split(separator: "```swift").dropFirst().map { $0.prefix { $0 != "```" } }
        #expect(blocks.count > 12)
        for block in blocks {
            let isOutbox = block.contains("import LeveretTasksGRDB")
            for line in block where !line.isEmpty && !line.hasPrefix("import ") {
                let source = isOutbox ? 1 : 0
                let index = try #require(
                    sources[source].firstIndex(of: line), "not compiled, or not in this order: \(line)")
                sources[source] = sources[source][(index + 1)...]
            }
        }
    }
}
