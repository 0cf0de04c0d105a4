// Limits on how many jobs run at a time, and how soon after each other they start.

import Leveret
import Synchronization
import Testing

@testable import LeveretTasks

@Suite(.timeLimit(.minutes(10))) struct LimitTests {
    private final class Gauge: Sendable {
        private let state = Mutex<(now: [String: Int], most: [String: Int])>(([:], [:]))

        func entered(_ key: String) {
            state.withLock { state in
                state.now[key, default: 0] += 1
                state.most[key] = max(state.most[key, default: 0], state.now[key, default: 0])
            }
        }

        func left(_ key: String) { state.withLock { $0.now[key, default: 0] -= 1 } }

        var most: [String: Int] { state.withLock { $0.most } }
    }

    @Test func `of one key only so many run at a time, and all are run`() async throws {
        let bench = try Bench()
        let gauge = Gauge()
        for index in 0..<60 {
            let key = index % 3 == 0 ? "ann" : "bob"
            try await bench.jobs.enqueue(Greet(who: key), .init(limitKey: key))
        }
        try await bench.working(on: [.default: .init(concurrency: 8, perKey: 1)]) {
            $0.add(Greet.self) { [journal = bench.journal] greet in
                gauge.entered(greet.who)
                for _ in 0..<10 { await Task.yield() }
                gauge.left(greet.who)
                journal.note(greet.who)
            }
        } while: {
            try await until { bench.journal.all.count == 60 }
        }
        #expect(gauge.most == ["ann": 1, "bob": 1])
    }

    @Test func `the time that a job may take begins when its rate lets it start`() async throws {
        struct Slow: Job {
            static let name = "slow"
            static let timeout: Duration? = .seconds(5)
            static let options = EnqueueOptions(maxAttempts: 1)
        }
        let turns = Journal()
        let bench = try Bench { tasks in
            tasks.clock = ScriptedClock { duration in
                switch duration {
                case .seconds(5):
                    // The time is over at once for whoever has not had its turn.
                    if turns.all != ["over"] { return }
                    try await forever()
                case .seconds(10):
                    for _ in 0..<1_000 { await Task.yield() }
                    try Task.checkCancellation()
                    turns.note("over")
                default: try await forever()
                }
            }
        }
        try await bench.jobs.enqueue(Greet(who: "first"))
        let slow = try await bench.jobs.enqueue(Slow())
        try await bench.working(on: [.default: .init(concurrency: 1, rate: .init(1, per: .seconds(10)))]) {
            $0.add(Greet.self) { _ in }
            $0.add(Slow.self) { _ in }
        } while: {
            try await bench.settles()
        }
        #expect(try await bench.jobs.find(slow.id)?.state == .completed)
    }

    @Test func `a gate lets so many in, and wakes the next in order`() {
        let gate = KeyGate(most: 1)
        #expect(gate.enters("a", 1))
        #expect(!gate.enters("a", 7))
        #expect(gate.enters("b", 2))
        #expect(gate.wentBack("a", 7) == nil)
        #expect(gate.wentBack("a", 8) == nil)
        #expect(gate.left("a") == KeyGate.Waiting(key: "a", number: 7))
        #expect(gate.wentBack("a", 9) == KeyGate.Waiting(key: "a", number: 9))
        #expect(gate.enters("a", 9))
        #expect(gate.left("a") == KeyGate.Waiting(key: "a", number: 8))
        #expect(gate.left("b") == nil)
    }

    @Test func `a gate wakes each that waits once, and none that has come by itself`() {
        let gate = KeyGate(most: 1)
        #expect(gate.enters("a", 1))
        for number in [2, 3, 4, 2] as [MessageNumber] { #expect(gate.wentBack("a", number) == nil) }
        let second = gate.left("a")
        #expect(second == KeyGate.Waiting(key: "a", number: 2))
        #expect(gate.enters("a", 3))
        // The second has gone: the fourth is woken in its place, and nobody else waits.
        let fourth = second.flatMap(gate.missed)
        #expect(fourth == KeyGate.Waiting(key: "a", number: 4))
        #expect(fourth.flatMap(gate.missed) == nil)
        #expect(gate.left("a") == nil)
    }

    @Test func `a rate spaces starts evenly, and forgets what was not used`() {
        let gate = RateGate(count: 10, per: .seconds(1))
        let now = Instant(milliseconds: 1_000_000)
        #expect(gate.wait(now: now) == .zero)
        #expect(gate.wait(now: now) == .milliseconds(100))
        #expect(gate.wait(now: now.advanced(byMilliseconds: 150)) == .milliseconds(50))
        #expect(gate.wait(now: now.advanced(byMilliseconds: 5_000)) == .zero)
    }

    @Test func `the hash is SHA-256`() {
        func hex(_ text: String) -> String {
            SHA256.hash(Array(text.utf8)).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }
                .joined()
        }
        #expect(hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(
            hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
                == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
    }
}
