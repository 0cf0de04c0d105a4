// Long work of `move`, `dead replay` and `dead drop`, request by request.

/// Messages in batches of which each is a request: with progress, at a rate, and ended in good order by Ctrl-C.
struct Batches {
    private static let batchMax = 1000

    private let noun: String
    private var left: Int
    private let rate: Double?
    private var done = 0

    /// Batches of `limit` messages, `rate` of them a second; `nil` is without bounds. `noun` is what one is called.
    init(of noun: String, limit: Int?, rate: Double? = nil) {
        self.noun = noun
        left = limit ?? .max
        self.rate = rate
    }

    /// Makes requests until there is nothing more to do, and says how many were `what`. Each request is
    /// told for how many it is, and returns for how many it was.
    mutating func run(_ what: String, _ request: (Int) throws(Failure) -> String) throws(Failure) {
        Interrupt.listen()
        var progress = Progress(bytesTotal: nil)
        var underWay = 0
        do {
            while left > 0, !Interrupt.hasCome {
                // A quarter of a second of it at a time.
                let count = min(left, rate.map { max(1, min(Self.batchMax, Int($0 / 4))) } ?? Self.batchMax)
                underWay = count
                let got = max(0, Int(try request(count)) ?? 0)
                underWay = 0
                done = done.adding(got)
                left -= got
                progress.update(messages: done, bytes: 0)
                if got < count { break }
                if let rate { Interrupt.wait(seconds: Double(done) / rate - progress.seconds) }
            }
        } catch {
            progress.clear()
            throw Failure(
                error.status, error.text + said(of: underWay, what, isLost: error.status == .unreachable))
        }
        progress.clear()
        if Interrupt.hasCome {
            Terminal.complain(
                "leveret: interrupted; \(counted(done, noun)) \(what), the others are where they were"
            )
            Interrupt.end()
        }
        announce("\(counted(done, noun)) \(what)")
    }

    /// How much was done before a batch of so many failed, of which nothing is known where the connection `isLost`.
    private func said(of batch: Int, _ what: String, isLost: Bool) -> String {
        let before = "\(counted(done, noun)) \(what)"
        if isLost, batch > 0 {
            return "; \(before) before, and up to \(Quantity.count(batch)) more in the batch under way"
        }
        return done == 0 ? "" : "; \(before) in the batches before"
    }
}
