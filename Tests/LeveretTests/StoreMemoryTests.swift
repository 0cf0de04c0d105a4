// What the core counts as memory while far more than its budget waits in the file.

import LeveretCore
import LeveretTestSupport
import Testing

@testable import Leveret

@Suite(.timeLimit(.minutes(10))) struct StoreMemoryTests {
    @Test func `counted memory stays within its budget while queues grow far beyond it`() async throws {
        var fixture = try BrokerFixture()
        fixture.configuration.limits.messageBytesMax = 512 << 10
        fixture.configuration.limits.windowBytesMax = 128 << 10
        let broker = try fixture.open()
        let queues = (0..<8).map { QueueName("q\($0)") }
        for queue in queues { try await broker.declareQueue(queue) }
        let body = String(repeating: "x", count: 1_000)
        // What every queue may keep whatever the budget says, and what one slice reads ahead.
        let allowed = 512 << 10 + 8 * 16 * 1_500 + 128 << 10
        var most = 0
        func watch() async throws { most = max(most, try await broker.status().messageBytes) }

        for round in 0..<10 {
            for queue in queues {
                try await broker.publish(
                    batch: (0..<100).map { OutgoingMessage("\(round * 100 + $0) \(body)", to: queue) })
            }
            try await watch()
        }
        #expect(try await broker.status().ready == 8_000)
        for queue in queues {
            for number in 0..<1_000 {
                let message = try #require(try await broker.get(queue))
                #expect(message.text?.hasPrefix("\(number) ") == true)
                message.ackWithoutWaiting()
                if number % 50 == 0 { try await watch() }
            }
        }
        #expect(most > 100 << 10 && most <= allowed, "\(most) of \(allowed)")
        try await broker.shutdown()
    }
}
