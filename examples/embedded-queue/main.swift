// The shortest useful program: a queue in a file, one message in, one message out. README.md shows it.

import Leveret

let broker = try Broker(.file("jobs.db"))
try await broker.declareQueue("jobs")
try await broker.publish("resize cat.png", to: "jobs")  // it is on disk when this returns

for try await job in try await broker.consume("jobs") {
    print("working on", job.text ?? "")
    try await job.ack()  // it is gone for good when this returns
    break
}
try await broker.shutdown()
