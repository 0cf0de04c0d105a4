// Unique jobs. The broker drops the second of two equal ones, exactly and durably: their queue knows each by its
// digest for as long as it is there, and an exchange for as long as a window lasts. This finds the first then.

import Leveret
import Synchronization

/// What a unique job is known by.
struct UniqueKey: Sendable {
    let uniqueness: Uniqueness
    /// 26 characters made of the kind's name and of what jobs are compared by.
    let digest: String

    init(_ uniqueness: Uniqueness, name: String, arguments: [UInt8]) {
        self.uniqueness = uniqueness
        var bytes = Array(name.utf8) + [0]
        switch uniqueness.key {
        case .arguments: bytes += arguments
        case .text(let text): bytes += [0] + Array(text.utf8)
        }
        let hash = SHA256.hash(bytes)
        var bits: UInt64 = 0
        var count = 0
        var digits: [UInt8] = []
        for byte in hash where digits.count < 26 {
            bits = bits << 8 | UInt64(byte)
            count += 8
            while count >= 5, digits.count < 26 {
                count -= 5
                digits.append(Identity.digit(bits >> UInt64(count)))
            }
        }
        digest = String(decoding: digits, as: UTF8.self)
    }

    /// For how many milliseconds it counts; `nil` while it is pending.
    var window: Int64? {
        guard case .within(let duration) = uniqueness.scope else { return nil }
        return min(max(Int64(clamping: Double(milliseconds: duration).rounded(.up)), 1), Jobs.delayMax)
    }
}

extension Jobs {
    /// Makes sure that what drops doubles within a window is there.
    func declareWindow(_ milliseconds: Int64, of queue: JobQueue) async throws {
        let name = queue.unique(milliseconds)
        guard !(windows.withLock { $0.contains(name) }) else { return }
        try await broker.declareExchange(
            name, type: .fanout, arguments: ["x-deduplicate": .int(milliseconds)])
        let recent = queue.recent(milliseconds)
        try await broker.declareQueue(
            recent, arguments: ["x-message-ttl": .int(milliseconds), "x-deduplicate": "while-queued"])
        try await broker.bind(recent, to: name)
        try await broker.bind(queue.waiting, to: name)
        _ = windows.withLock { $0.insert(name) }
    }

    /// What becomes of a job that met an equal one; `nil` when that has gone meanwhile. Its own mark does not count.
    func resolve(_ draft: JobDraft, _ key: UniqueKey) async throws -> EnqueuedJob? {
        if let found = try await known.message(knownAs: key.digest, in: draft.queue.waiting) {
            switch key.uniqueness.onConflict {
            case .skip: break
            case .replace:
                var edit = MessageEdit(draft.queue.waiting, found.number)
                edit.body = draft.message.body
                edit.headers = [JobHeader.version: draft.message.properties?.headers[JobHeader.version] ?? 1]
                if try await broker.change(edit) { return EnqueuedJob(id: found.id, outcome: .replaced) }
            case .reschedule:
                let start = draft.start ?? broker.now
                let delay = max(0, start.milliseconds - broker.now.milliseconds)
                var edit = MessageEdit(
                    draft.queue.waiting, found.number, delayMilliseconds: min(delay, Self.delayMax))
                edit.headers = [JobHeader.start: .int(start.milliseconds)]
                if try await broker.change(edit) { return EnqueuedJob(id: found.id, outcome: .rescheduled) }
            }
            return EnqueuedJob(id: found.id, outcome: .existing)
        }
        guard let window = key.window,
            let mark = try await known.message(knownAs: key.digest, in: draft.queue.recent(window)),
            mark.id != draft.id
        else { return nil }
        return EnqueuedJob(id: mark.id, outcome: .existing)
    }
}
