import LeveretCore
import LeveretWire
import Testing

/// BEGIN, COMMIT and ROLLBACK as transcripts.
@Suite struct LineTransactionTests {
    @Test func `what stands between BEGIN and COMMIT reaches the broker as one request`() throws {
        var talk = Talk()
        let said = talk.send("BEGIN\n#a PUB e k :x\nACK 3 multiple\nPUB e k {2}\nhi\nPING\nCOMMIT\n")
        #expect(said == "OK\n#a OK queued\nOK queued\nOK queued\nOK\nOK 3\n")
        #expect(talk.submissions.count == 1)
        guard case .transaction(let requests)? = talk.submissions.first?.request else {
            Issue.record("no transaction was submitted")
            return
        }
        #expect(requests.count == 3)
        #expect(talk.send("COMMIT\n").hasPrefix("ERR 503 COMMAND_INVALID no transaction is open"))
        #expect(talk.send("ROLLBACK\n").hasPrefix("ERR 503 COMMAND_INVALID no transaction is open"))
    }

    @Test func `a transaction that is rolled back, or empty, reaches nobody`() {
        var talk = Talk()
        #expect(talk.send("BEGIN\nPUB e k :x\nROLLBACK\nBEGIN\nCOMMIT\n") == "OK\nOK queued\nOK\nOK\nOK 0\n")
        #expect(talk.submissions.isEmpty)
    }

    @Test func `a refusal at COMMIT names the request and its tag`() {
        var talk = Talk()
        talk.answersAtOnce = false
        _ = talk.send("BEGIN\nPUB e k :x\n#b PUB nowhere k :y\n#c COMMIT\n")
        var error = BrokerError(.notFound, "no exchange 'nowhere'")
        error.part = 1
        let ticket = talk.submissions[0].ticket
        #expect(
            talk.hear(.answer(ticket, .refused(error)))
                == "#c ERR 404 NOT_FOUND request 2 (#b): no exchange 'nowhere'\n")
        #expect(talk.send("PUB e k :x\n") == "")
        #expect(talk.submissions.count == 2)
    }

    @Test(arguments: ["GET q", "BEGIN", "PUBB e k :x", "PUB e k prio=3 :x", "SUB q", "PUB e"])
    func `a line that is refused spoils the transaction`(line: String) {
        var talk = Talk()
        let said = talk.send("BEGIN\nPUB e k :x\n\(line)\nPUB e k :x\nCOMMIT\nPUB e k :x\n")
            .split(separator: "\n")
        #expect(said.count == 6)
        #expect(said[1] == "OK queued")
        #expect(said[2].hasPrefix("ERR 50"))
        #expect(said[3].hasPrefix("ERR 503 COMMAND_INVALID this transaction can't be committed any more"))
        #expect(said[4].contains(" request 2: "))
        #expect(said[5] == "OK 1")
        #expect(talk.submissions.count == 1)
    }

    @Test func `a transaction is bounded in requests and in bytes`() {
        var limits = LineLimits()
        limits.transactionCountMax = 2
        limits.transactionBytesMax = 1000
        var talk = Talk(limits: limits)
        #expect(talk.send("BEGIN\nPUB e k :x\nACK 1\nCOMMIT\n") == "OK\nOK queued\nOK queued\nOK 2\n")
        for request in ["ACK 1\nACK 2", "PUB e k {1000}\n" + String(repeating: ".", count: 1000)] {
            let said = talk.send("BEGIN\nPUB e k :x\n\(request)\nCOMMIT\n").split(separator: "\n")
            #expect(
                said.contains { $0.hasPrefix("ERR 406 PRECONDITION_FAILED the transaction is too large") })
            #expect(said.last?.hasPrefix("ERR 406 PRECONDITION_FAILED request ") == true)
        }
        #expect(talk.submissions.count == 1)
    }

    @Test func `the end of the talk ends an open transaction`() {
        var talk = Talk()
        #expect(talk.send("BEGIN\nPUB e k :x\nQUIT\nCOMMIT\n") == "OK\nOK queued\nOK\n")
        #expect(talk.submissions.isEmpty)
        #expect(talk.session.isFinished)
    }
}
