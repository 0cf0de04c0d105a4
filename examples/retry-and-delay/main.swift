// The worker on cancelled flights, with patience. What fails is tried again after one minute, then two, then
// four; passengers are told later, by a message that is delayed; and a flight that nobody can rebook, because
// its aircraft is missing in the message, is looked at, edited and replayed.
//
// The broker's clock is moved by hand from one appointment to the next, so half an hour passes in no time.

import Leveret
import Logging

let clock = HandClock(hour: 18)
var configuration = Broker.Configuration()
configuration.clock = clock.brokerClock
configuration.logger.logLevel = .warning
let broker = try Broker(.memory, configuration: configuration)

try await broker.declareQueue("review")
try await broker.declareQueue(
    "cancelled",
    arguments: [
        "x-delayed-retry-type": .string("failed"),
        "x-delayed-retry-min": .int(60_000),
        "x-delayed-retry-max": .int(600_000),
        "x-delayed-retry-backoff": .string("exponential"),
        "x-delivery-limit": .int(2),
        "x-dead-letter-exchange": .string(""),
        "x-dead-letter-routing-key": .string("review"),
    ])

for flight in ["DL 947 LGA-ATL N993DL", "EV 4202 EWR-STL N13118", "MQ 3231 JFK-PIT"] {
    try await broker.publish(flight, to: "cancelled")
}
for (reminder, minutes) in [("tell DL 947", 15), ("tell EV 4202", 5), ("tell MQ 3231", 10)] {
    let message = OutgoingMessage(reminder, to: "cancelled")
    try await broker.publish(message.delayed(by: .seconds(minutes * 60)))
}

/// What keeps the worker from settling a message; `nil` if nothing does.
func obstacle(to text: String) -> String? {
    if text.hasPrefix("tell") { return nil }
    if text.hasPrefix("EV"), clock.minutes < 2 { return "the hotel does not answer" }
    return text.split(separator: " ").count == 4 ? nil : "which aircraft?"
}

/// Works on what comes until nothing is left; where all that is left waits, time passes.
func work() async throws {
    for try await message in try await broker.consume("cancelled", prefetch: 1) {
        let text = message.text ?? ""
        if let obstacle = obstacle(to: text) {
            print("  \(clock.time)  \(text): \(obstacle)")
            try await message.reject(requeue: true, error: obstacle)
        } else {
            print("  \(clock.time)  \(text): done")
            try await message.ack()
        }
        let queue = try await broker.status(of: "cancelled")
        guard queue.ready + queue.unacked == 0 else { continue }
        guard let due = try await broker.peek("cancelled", state: .delayed).first?.due else { break }
        clock.advance(to: due)
    }
}

/// Puts the aircraft into a message, as long as it is what `seen` shows.
func addAircraft(_ aircraft: String, to seen: PeekedMessage) async throws {
    var edit = MessageEdit("review", seen.number)
    edit.version = seen.version
    edit.body = seen.message.body + Array(" \(aircraft)".utf8)
    try await broker.edit(edit)
}

print("these wait for their time:")
for waiting in try await broker.peek("cancelled", state: .delayed) {
    let text = String(decoding: waiting.message.body, as: UTF8.self)
    print("  \(HandClock.time(of: waiting.due ?? 0))  \(text)")
    // The passengers of 3231 are told in person.
    if text == "tell MQ 3231" { try await broker.cancelMessage(at: waiting.number, in: "cancelled") }
}
print("the worker starts:")
try await work()

print("in review:")
for letter in try await broker.peek("review") {
    guard let deaths = letter.deaths else { continue }
    let text = String(decoding: letter.message.body, as: UTF8.self)
    print("  \(text): \(deaths.firstReason.rawValue) in \(deaths.originQueue), \(deaths.errorText ?? "")")
    try await addAircraft("N925MQ", to: letter)
    print("  it has its aircraft now; somebody else, who has seen it without, is too late:")
    do {
        try await addAircraft("N000MQ", to: letter)
    } catch let error as BrokerError {
        print("  \(error.text)")
    }
}
print("\(try await broker.move(from: "review", to: "cancelled")) replayed:")
try await work()
try await broker.shutdown()
