// `leveret policy delete`: only what is there is deleted, and it is said what is there instead.

import LeveretTestSupport
import Testing

@Suite struct PolicyCommandTests {
    @Test func `a policy that is not there is not found, and one of the other kind is named`() async throws {
        let shell = try Shell()
        try await shell.run(["policy", "set", "op", "^q$", "--max-length", "9", "--operator"])
        try await shell.run(["policy", "set", "short", "^q$", "--max-length", "9"])
        for (words, text) in [
            (["op"], "no policy 'op'; there is an operator policy of this name; say --operator"),
            (["short", "--operator"], "no operator policy 'short'; there is a policy of this name"),
            (["ghost"], "no policy 'ghost'; 'leveret policy list' lists them"),
        ] {
            let refused = try await shell.run(["policy", "delete"] + words, status: 5)
            #expect(refused.errors.contains(text), "\(refused.errors)")
        }
        try await shell.run(["policy", "delete", "op", "--operator"])
        try await shell.run(["policy", "delete", "short"])
        #expect(try await shell.run(["policy", "list"]).output == "there are no policies\n")
    }
}
