// Finds jobs: one by its id, or those of a queue by their state. `Jobs` asks it of its broker, `leveret jobs` of a
// server or a file. What is done to a job is in JobDesk+Act.swift.

import Leveret

/// Looks at the jobs of a broker, and acts on one.
package struct JobDesk {
    let store: any JobStore

    /// The jobs that `store` has.
    package init(_ store: any JobStore) { self.store = store }

    /// The queues of jobs that there are.
    package func queues() async throws -> [JobQueue] {
        let queues = try await store.queues(named: "jobs.*").compactMap { name -> JobQueue? in
            let words = name.rawValue.split(separator: ".", omittingEmptySubsequences: false)
            return words.count == 2 ? JobQueue(String(words[1])) : nil
        }
        return Set(queues).sorted()
    }

    // MARK: - By state

    /// The first jobs of a queue in one state, in the order in which they come or came.
    package func list(
        _ state: JobState, in queue: JobQueue, name: String? = nil, count: Int
    ) async throws -> [JobInfo] {
        let shelf = Shelf(of: state, in: queue, name: name)
        return try await page(shelf, shelf.state, from: 0, count: count).map { JobInfo($0, in: queue, state) }
    }

    /// The last jobs of a queue that ended one way, the newest first.
    ///
    /// - Throws: a `JobError` (invalid) for a state that is no end: what waits stands in no order of time.
    package func latest(
        _ state: JobState, in queue: JobQueue, name: String? = nil, count: Int
    ) async throws -> [JobInfo] {
        guard [.completed, .cancelled, .discarded].contains(state) else {
            throw JobError(
                .invalid,
                "'\(state.rawValue)' is no end; 'latest' shows completed, cancelled and discarded jobs")
        }
        let shelf = Shelf(of: state, in: queue, name: name)
        var last: [PeekedMessage] = []
        // One after the other: each has an order of its own.
        for part in shelf.state.map({ [$0] }) ?? Peek.State.allCases {
            var next: MessageNumber = 0
            while case let page = try await page(shelf, part, from: next, count: Self.pageCount),
                let end = page.map(\.nextPlace).max(), end > next
            {
                last = (last + page).sorted { $0.number < $1.number }.suffix(count)
                next = end
            }
        }
        return last.reversed().map { JobInfo($0, in: queue, state) }
    }

    static let pageCount = 1_000

    private func page(
        _ shelf: Shelf, _ state: Peek.State?, from: MessageNumber, count: Int
    ) async throws -> [PeekedMessage] {
        try await store.messages(
            Peek(shelf.queue, state: state, from: from, countMax: count, where: shelf.condition))
    }

    /// Which messages are the jobs of a queue in one state.
    private struct Shelf {
        var queue: QueueName
        var state: Peek.State?
        var condition: String?

        init(of state: JobState, in queue: JobQueue, name: String?) {
            self.queue = queue.waiting
            var terms = name.map { ["properties ->> 'type' = \(quoted($0))"] } ?? []
            switch state {
            case .available: self.state = .ready
            case .running: self.state = .unacked
            case .scheduled:
                self.state = .delayed
                terms.append("failed = 0")
            case .retryable:
                self.state = .delayed
                terms.append("failed > 0")
            case .unclaimed: (self.queue, self.state) = (queue.unclaimed, .ready)
            case .discarded: self.queue = queue.discarded
            case .dependent:
                self.queue = .dependentJobs
                terms.append("headers ->> '\(JobHeader.queue)' = \(quoted(queue.rawValue))")
            case .completed, .cancelled:
                (self.queue, self.state) = (queue.completed, .ready)
                terms.append("headers ->> '\(JobHeader.state)' = \(quoted(state.rawValue))")
            }
            condition = terms.isEmpty ? nil : terms.joined(separator: " AND ")
        }
    }

    // MARK: - By id

    /// The job of this id, wherever it stands; `nil` when it is not there, or no longer.
    package func find(_ id: JobID) async throws -> JobInfo? {
        let queues = try await queues()
        if let job = try await known(id, in: queues) { return job }
        if let message = try await message(of: id, in: .dependentJobs) {
            let name = message.message.properties?.headers[JobHeader.queue]?.text
            return JobInfo(message, in: JobQueue(name ?? JobQueue.default.rawValue), .dependent)
        }
        for queue in queues {
            for (place, state) in [
                (queue.completed, JobState.completed), (queue.discarded, .discarded),
                (queue.unclaimed, .unclaimed),
            ] {
                // The last record counts: a job that was replayed may have left one before.
                guard let message = try await scan(for: id, in: place, count: 100).last else { continue }
                let recorded = message.message.properties?.headers[JobHeader.state]?.text
                return JobInfo(message, in: queue, recorded.flatMap(JobState.init(rawValue:)) ?? state)
            }
        }
        return try await unknown(id, in: queues)
    }

    /// The job among those that wait or run.
    func pending(_ id: JobID) async throws -> JobInfo? {
        let queues = try await queues()
        if let job = try await known(id, in: queues) { return job }
        return try await unknown(id, in: queues)
    }

    private func known(_ id: JobID, in queues: [JobQueue]) async throws -> JobInfo? {
        for queue in queues {
            if let message = try await message(of: id, in: queue.waiting) {
                return JobInfo(message, in: queue, Self.state(of: message))
            }
        }
        return nil
    }

    /// What a replay or a move of the broker's has brought is not known by its id: every message is looked at.
    private func unknown(_ id: JobID, in queues: [JobQueue]) async throws -> JobInfo? {
        for queue in queues {
            if let message = try await scan(for: id, in: queue.waiting, count: 1).first {
                return JobInfo(message, in: queue, Self.state(of: message))
            }
        }
        return nil
    }

    func scan(for id: JobID, in queue: QueueName, count: Int) async throws -> [PeekedMessage] {
        let condition = "properties ->> 'message_id' = \(quoted(id.rawValue))"
        return try await store.messages(Peek(queue, state: nil, countMax: count, where: condition))
    }

    private static func state(of message: PeekedMessage) -> JobState {
        switch message.state {
        case .ready: .available
        case .unacked: .running
        case .delayed: message.failed > 0 ? .retryable : .scheduled
        }
    }

    /// The message of a job in a queue that knows its ids.
    func message(of id: JobID, in queue: QueueName) async throws -> PeekedMessage? {
        // It may be taken or handed back while it is looked for.
        for _ in 0..<3 {
            guard let known = try await locate(id, in: queue) else { return nil }
            if let message = try await message(at: known.number, place: known.place, in: queue) {
                return message
            }
        }
        return nil
    }

    /// The message of this number, whatever its state. Where it is ready, it stands at `place` or behind it.
    func message(
        at number: MessageNumber, place: Int64, in queue: QueueName
    ) async throws -> PeekedMessage? {
        for state in [Peek.State.unacked, .ready, .delayed] {
            // By places where it has one.
            let from = state == .ready ? MessageNumber(max(place, 0)) : number
            let peek = Peek(
                queue, state: state, from: from, countMax: 1, where: "position = \(number.rawValue)")
            if let message = try await store.messages(peek).first { return message }
        }
        return nil
    }

    private func locate(_ id: JobID, in queue: QueueName) async throws -> KnownMessage? {
        // A unique job is known by the end of its id; that may be another's by now.
        if let digest = id.digest, let known = try await store.message(knownAs: digest, in: queue),
            known.id == id
        {
            return known
        }
        return try await store.message(knownAs: id.rawValue, in: queue)
    }
}

extension PeekedMessage {
    /// Where to look on for those behind it: PEEK goes by places where there are any.
    var nextPlace: MessageNumber {
        let here = (place ?? number).rawValue
        return MessageNumber(here < .max ? here + 1 : here)
    }
}

extension JobID {
    /// What a unique job is known by.
    var digest: String? {
        guard let dash = rawValue.lastIndex(of: "-") else { return nil }
        return String(rawValue[rawValue.index(after: dash)...])
    }
}
