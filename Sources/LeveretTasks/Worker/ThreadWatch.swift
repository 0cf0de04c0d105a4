// Notices that the threads which all tasks share are blocked: then no task runs any more, and none could say so, not
// even that of a timeout. A timer of the system's, on a thread of its own, looks whether a task still gets one. Started
// by JobWorker.

import Dispatch
import Logging
import Synchronization

/// Looks whether tasks get threads while jobs run.
final class ThreadWatch: Sendable {
    private struct State {
        /// A task was asked to answer, and has not yet.
        var isAsked = false
        var isReported = false
    }

    /// The names of the jobs that run.
    private let running: @Sendable () -> [String]
    /// Told of these when no task gets a thread; once until one does again.
    private let report: @Sendable ([String]) -> Void
    /// Guards what was asked and answered.
    private let state = Mutex(State())
    private let questions: AsyncStream<Void>
    private let asking: AsyncStream<Void>.Continuation

    init(running: @escaping @Sendable () -> [String], report: @escaping @Sendable ([String]) -> Void) {
        self.running = running
        self.report = report
        (questions, asking) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// True where no answer is awaited.
    var isAnswered: Bool { state.withLock { !$0.isAsked } }

    /// Looks every few seconds, until the task is cancelled.
    func run() async {
        let timer = DispatchSource.makeTimerSource()
        timer.setEventHandler { self.look() }
        timer.schedule(deadline: .now() + Self.interval, repeating: Self.interval, leeway: .seconds(1))
        timer.activate()
        await answer()
        timer.cancel()
    }

    /// Answers as long as the task that this is gets a thread.
    func answer() async {
        for await _ in questions { state.withLock { $0 = State() } }
    }

    /// Asks for an answer, or reports that the last one has not come.
    func look() {
        let names = running()
        let isLate = state.withLock { state in
            defer {
                state.isReported = state.isAsked
                state.isAsked = state.isAsked || !names.isEmpty
            }
            return state.isAsked && !state.isReported
        }
        if isLate { report(names) } else if !names.isEmpty { asking.yield() }
    }

    private static let interval = DispatchTimeInterval.seconds(5)

    /// A watch over the jobs of `jobs`.
    convenience init(over jobs: Jobs) {
        let logger = jobs.configuration.logger
        self.init(running: { [running = jobs.running] in running.names }) { names in
            logger.error(
                """
                no task has got a thread for 5 seconds: something blocks all of the threads that tasks share, likely a \
                handler; let what blocks run on a thread of its own
                """, metadata: ["jobs": "\(names.prefix(20).joined(separator: ", "))"])
        }
    }
}
