// The run of `consume`: messages come in, are printed or handed to commands, and are settled. One thread waits on the
// server, on signals and on what the commands say.

/// What `consume` does until it ends.
struct ConsumeRun {
    /// What became of the messages.
    struct Totals: Equatable {
        var acked = 0
        var retried = 0
        var rejected = 0
        var givenBack = 0
        /// Settled as the connection was lost, so that nobody knows.
        var unanswered = 0
        /// Of messages that were done as they were sent: their commands failed, or were ended.
        var failed = 0

        /// What the server has answered of.
        fileprivate var answered = 0

        /// Counts a settlement that was answered.
        fileprivate mutating func count(_ settled: Subscription.Settled, _ isDone: Bool) {
            answered += 1
            guard isDone else {
                givenBack += 1
                return
            }
            switch settled {
            case .acked: acked += 1
            case .retried: retried += 1
            case .rejected: rejected += 1
            }
        }

        /// `3 messages acked, 1 rejected`.
        var sentence: String {
            let others = [
                (retried, "to be retried"), (rejected, "rejected"), (givenBack, "given back"),
                (failed, "failed and gone"), (unanswered, "done without the server's answer"),
            ]
            return counted(acked, "message") + " acked"
                + others.filter { $0.0 > 0 }.map { ", \(Quantity.count($0.0)) \($0.1)" }.joined()
        }
    }

    private var subscription: Subscription
    private let signals: CInt
    private let command: String
    private let parallel: Int
    private let autoAck: Bool
    private let waitingMax: Int
    /// Messages that may still be begun.
    private var left: Int
    private var waiting: [Delivered] = []
    private var workers: [Worker] = []
    private var problem: Failure?
    /// The server has gone, and with it every message that isn't settled.
    private var isLost = false
    private(set) var totals = Totals()
    /// Settlements that were sent.
    private var sent = 0

    /// A run of `command` for each message of a subscription, `parallel` at a time, for `number` messages.
    init(
        _ subscription: Subscription, signals: CInt, command: String, parallel: Int, autoAck: Bool,
        number: Int?, waitingMax: Int
    ) {
        self.subscription = subscription
        self.signals = signals
        self.command = command
        self.parallel = parallel
        self.autoAck = autoAck
        self.waitingMax = waitingMax
        left = number ?? .max
    }

    /// Runs until there is no more to do: so many messages are done, or the user has had enough.
    mutating func run() throws(Failure) {
        while true {
            do {
                try reap()
                if !isLost { try take() }
            } catch {
                lose(error)
            }
            startWaiting()
            if SignalPipe.endingsAsked > 1 { giveBack() }
            let isEnding = left == 0 || problem != nil || SignalPipe.endingsAsked > 0
            if workers.isEmpty, isEnding { break }
            let said = workers.filter(\.isTalking).map(\.errors)
            let isReading = !isLost && waiting.count < waitingMax
            SignalPipe.wait(signals, or: said + (isReading ? [subscription.descriptor] : []))
        }
        if !isLost {
            var totals = totals
            do throws(Failure) {
                try subscription.end {
                    if case .settled(let settled, let isDone) = $0 { totals.count(settled, isDone) }
                }
            } catch {
                problem = problem ?? error
            }
            self.totals = totals
        }
        totals.unanswered = sent - totals.answered
        if let problem { throw problem }
    }

    private mutating func startWaiting() {
        while workers.count < parallel, left > 0, problem == nil, SignalPipe.endingsAsked == 0,
            let message = waiting.first
        {
            do {
                workers.append(try Worker(command, on: message))
                waiting.removeFirst()
                left -= 1
            } catch {
                problem = error
            }
        }
    }

    /// The connection is gone: what the commands that still run work on can't be settled any more.
    private mutating func lose(_ failure: Failure) {
        if !isLost, !workers.isEmpty {
            let count = workers.count == 1 ? "1 command" : "\(workers.count) commands"
            Terminal.complain(
                "leveret: the connection is lost; \(count) may end what was begun, and the messages come again"
            )
        }
        (problem, isLost) = (failure, true)
    }

    /// Settles what the commands that have ended worked on.
    private mutating func reap() throws(Failure) {
        for index in workers.indices.reversed() {
            workers[index].listen()
            guard let end = workers[index].endIfAny() else { continue }
            let worker = workers.remove(at: index)
            if isLost, !autoAck {
                totals.givenBack += 1
                continue
            }
            guard !autoAck else {
                if end == .exited(0) { totals.acked += 1 } else { totals.failed += 1 }
                continue
            }
            sent += 1
            let (request, settled) = worker.settlement(end)
            try subscription.send(request, as: settled)
        }
    }

    /// Takes what the server has sent.
    private mutating func take() throws(Failure) {
        while waiting.count < waitingMax, let event = try subscription.next() {
            switch event {
            case .message(let message): waiting.append(message)
            case .settled(let settled, let isDone): totals.count(settled, isDone)
            case .ended(let reason): problem = subscription.failure(reason)
            case .row: continue
            }
        }
    }

    /// Ends the commands; what they worked on goes back with the end of the subscription, if it isn't done already.
    private mutating func giveBack() {
        for worker in workers { worker.stop() }
        if autoAck { totals.failed += workers.count } else { totals.givenBack += workers.count }
        workers = []
    }
}
