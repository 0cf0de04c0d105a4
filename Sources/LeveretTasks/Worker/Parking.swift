// Jobs whose name no worker here knows: how their messages are parked in the queue `unclaimed`, and how they come back.

import Leveret

extension MessageProperties {
    /// As a job has them while it is parked, having failed so often. It is known there by where it stood before, which
    /// no other is: one that is parked again before its place here is empty is not taken for its own double.
    func parked(from number: MessageNumber, failed: Int) -> MessageProperties {
        var parked = self
        parked.headers[HeaderName.delay] = nil
        if failed > 0 { parked.headers[JobHeader.failedBefore] = .int(Int64(failed)) }
        parked.headers[JobHeader.knownAs] = headers[HeaderName.deduplication]
        parked.headers[HeaderName.deduplication] = .string("parked-\(number.rawValue)")
        return parked
    }
}

extension OutgoingMessage {
    /// A parked job on its way back into its queue. Published rather than moved: its queue is to know it by its id.
    init(unparking message: Message, to queue: QueueName) {
        var properties = message.properties ?? MessageProperties()
        // What is dropped as a double would never report.
        let hasDependents = properties.headers[JobHeader.dependents] != nil
        properties.headers[HeaderName.deduplication] =
            hasDependents ? nil : properties.headers[JobHeader.knownAs]
        properties.headers[JobHeader.knownAs] = nil
        self.init(message.body, to: queue, properties: properties)
    }
}
