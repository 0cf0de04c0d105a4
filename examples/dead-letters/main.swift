// What a dead letter knows about its death, and how it goes back to where it came from. A worker can't deal
// with two orders of four; they are looked at, the cause is mended, and they are replayed.

import Leveret

let broker = try Broker(.memory)
try await broker.declareQueue("orders.dead")
try await broker.declareQueue(
    "orders",
    arguments: [
        "x-dead-letter-exchange": .string(""), "x-dead-letter-routing-key": .string("orders.dead"),
    ])
for order in ["2 lamps", "a carrot", "1 table", "all the hay"] {
    try await broker.publish(order, to: "orders")
}

/// Works on what waits; an order must begin with a number that the worker understands.
func work(understands: (String) -> Bool) async throws {
    while let order = try await broker.get("orders") {
        let text = order.text ?? ""
        if understands(text) {
            print("  done: \(text)")
            try await order.ack()
        } else {
            print("  refused: \(text)")
            try await order.reject(error: "how many is '\(text.prefix { $0 != " " })'?")
        }
    }
}

print("the worker starts")
try await work { $0.first?.isNumber == true }

print("dead letters:")
for letter in try await broker.peek("orders.dead") {
    guard let deaths = letter.deaths else { continue }
    let body = String(decoding: letter.message.body, as: UTF8.self)
    print("  \(body): \(deaths.firstReason.rawValue) in \(deaths.originQueue), \(deaths.errorText ?? "")")
}

let replayed = try await broker.replay(from: "orders.dead")
print("the worker has learned to count;", replayed, "replayed")
try await work { _ in true }
try await broker.shutdown()
