// A refusal for want of rights is told as such, whatever else the request could have been refused for.

import LeveretCore
import LeveretTestSupport
import Testing

@Suite struct AMQPWordingTests {
    @Test func `a user who may not consume is not told of other consumers`() throws {
        var talk = AMQPTalk.slow()
        let said = try talk.say { client in
            client.call(
                60, 20, .int16(0), .short("q"), .short("t"), .octet(0), .table([]), on: 1)
        }
        #expect(said == [])
        let text = "read access to queue 'q' in vhost '/' refused for user 'guest'"
        #expect(
            try talk.answer(0, with: .refused(BrokerError(.accessRefused, text))) == [
                "channel.close 403 ACCESS_REFUSED - \(text) 60 20"
            ])
    }
}
