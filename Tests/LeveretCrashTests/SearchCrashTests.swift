// Conditions and SQL over the line, with the server killed in between.

import LeveretTestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct SearchCrashTests {
    /// The rows of a listing.
    private func rows(_ socket: LineSocket, _ request: String) throws -> [String] {
        var rows: [String] = []
        var reply = try socket.ask(request)
        while reply.line.hasPrefix("ROW ") {
            rows.append(String(reply.line.dropFirst(4)))
            reply = try #require(try socket.waitForNext())
        }
        #expect(reply.line == "OK \(rows.count)", "\(request)")
        return rows
    }

    @Test
    func `kill -9 in a move by condition leaves each message in one queue, and conditions find it there`()
        throws
    {
        let folder = try TemporaryFolder()
        let server = try ServerProcess(database: folder.path("leveret.db"))
        let socket = try LineSocket(port: server.port)
        #expect(try socket.ask("QUEUE jobs").line == "OK jobs ready=0 consumers=0")
        #expect(try socket.ask("QUEUE done").line == "OK done ready=0 consumers=0")
        for number in 1...300 {
            #expect(try socket.ask("PUB \"\" jobs h.n=\(number) :{\"n\":\(number)}").line == "OK 1")
        }
        let even = "headers ->> 'n' % 2 = 0"
        #expect(try socket.ask("MOVE jobs to done where=\"\(even)\"").line == "OK 150")
        socket.say("MOVE jobs to done where=\"json ->> 'n' > 100\"")
        socket.sendWhatGoes()
        server.crash()

        let again = try ServerProcess(database: folder.path("leveret.db"))
        let second = try LineSocket(port: again.port)
        let found = try rows(second, "SQL \"SELECT count(*) AS n, count(DISTINCT body) AS d FROM message\"")
        #expect(found == ["{\"n\":300,\"d\":300}"])
        #expect(try rows(second, "PEEK jobs n=1000 body=no where=\"\(even)\"").isEmpty)
        #expect(try rows(second, "PEEK done n=1000 body=no where=\"\(even)\"").count == 150)
        let odd = "headers ->> 'n' % 2 = 1"
        let here = try rows(second, "PEEK jobs n=1000 body=no where=\"\(odd)\"").count
        let there = try rows(second, "PEEK done n=1000 body=no where=\"\(odd)\"").count
        #expect(here + there == 150)
        #expect(again.stop().status == 0)
    }
}
