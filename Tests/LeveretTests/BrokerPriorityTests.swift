// Priorities through the Swift API, on a file and across a restart.

import Leveret
import LeveretTestSupport
import Testing

@Suite struct BrokerPriorityTests {
    private static func message(_ text: String, _ priority: UInt8) -> OutgoingMessage {
        var properties = MessageProperties()
        properties.priority = priority
        return OutgoingMessage(text, to: "jobs" as QueueName, properties: properties)
    }

    @Test func `priorities hold across a restart, also for what is only stored`() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path("leveret.db")
        var configuration = Broker.Configuration()
        configuration.limits.windowCountMax = 4
        configuration.limits.windowCountMin = 2
        let first = try Broker(.file(path), configuration: configuration)
        try await first.declareQueue("jobs", arguments: ["x-max-priority": .int(9)])
        for index in 0..<20 {
            for priority in [0, 9, 4] as [UInt8] {
                try await first.publish(Self.message("\(priority)/\(index)", priority))
            }
        }
        try await first.shutdown()

        let second = try Broker(.file(path), configuration: configuration)
        let info = try await second.status(of: "jobs")
        #expect(info.ready == 60)
        for priority in [9, 4, 0] {
            for index in 0..<20 {
                let message = try await second.get("jobs", autoAck: true)
                #expect(message?.text == "\(priority)/\(index)")
            }
        }
        try await second.shutdown()
    }
}
