// The batches of an outbox, one after the other: publish, mark, remove. See OutboxRelay for why in this order.

import GRDB
import Leveret
import LeveretTasks
import Logging

struct OutboxBatches {
    private let relay: OutboxRelay
    private let markers: QueueName
    private let consumer: Consumer
    /// The marker of the batch that was published last, if there was one.
    private var marker: ConsumedMessage?
    /// The jobs that are published and whose rows may still be there.
    private var published: [String] = []

    init(relay: OutboxRelay, markers: QueueName, consumer: Consumer) {
        self.relay = relay
        self.markers = markers
        self.consumer = consumer
    }

    /// Takes the marker that the broker has.
    mutating func takeMarker() async throws {
        var markers = consumer.makeAsyncIterator()
        guard let marker = try await markers.next() else { throw CancellationError() }
        self.marker = marker
        guard case .array(let ids) = try JSONText.read(String(decoding: marker.body, as: UTF8.self)) else {
            return
        }
        published = ids.compactMap { if case .string(let id) = $0 { id } else { nil } }
    }

    /// Takes a batch to the broker; false when there is nothing to take.
    mutating func relayOne() async throws -> Bool {
        try await removePublished()
        let rows = try await relay.database.read {
            try OutboxTable.oldest(in: $0, countMax: OutboxRelay.countMax, bytesMax: OutboxRelay.bytesMax)
        }
        if rows.isEmpty { return false }
        if try await publish(rows) {
            try await takeMarker()
            try await removePublished()
        }
        return true
    }

    private mutating func removePublished() async throws {
        if published.isEmpty { return }
        try await relay.database.write { [published] db in try OutboxTable.remove(published, in: db) }
        published = []
    }

    /// Publishes rows with their marker; false when one of them had to be set aside instead: what is wrong with it must
    /// not keep the others.
    private func publish(_ rows: [OutboxRow]) async throws -> Bool {
        let now = relay.jobs.broker.now
        var messages: [OutgoingMessage] = []
        for row in rows {
            do {
                try await relay.jobs.declare(row.queue)
                messages.append(try row.message(now: now))
            } catch let error where Self.isFinal(error) {
                try await setAside(row, because: "\(error)")
                return false
            }
        }
        let marker = JSONText.write(.array(rows.map { .string($0.id) }))
        do {
            try await relay.jobs.redeclaring { [messages] in
                for row in rows { try await relay.jobs.declare(row.queue) }
                try await relay.jobs.broker.transaction { tx in
                    for message in messages { tx.publish(message) }
                    if let before = self.marker { try tx.ack(before) }
                    tx.publish(marker, to: markers)
                }
            }
        } catch let error as BrokerError {
            guard let part = error.part, part < rows.count, Self.isFinal(error) else { throw error }
            try await setAside(rows[part], because: error.text)
            return false
        }
        return true
    }

    /// Whether a refusal will be the same whenever it is tried again.
    private static func isFinal(_ error: any Error) -> Bool {
        switch error {
        case is JobError: true
        case let error as BrokerError: error.code != .resourceError && error.code != .connectionForced
        default: false
        }
    }

    private func setAside(_ row: OutboxRow, because reason: String) async throws {
        relay.logger.error(
            "a job in the outbox is refused by the broker; its row stays, with the reason",
            metadata: ["job_id": "\(row.id)", "queue": "\(row.queue)", "error": "\(reason)"])
        try await relay.database.write { try OutboxTable.setAside(row.id, because: reason, in: $0) }
    }
}
