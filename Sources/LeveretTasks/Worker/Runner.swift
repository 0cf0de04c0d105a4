// The task that jobs run in, one after the other: a job that is told to stop has it cancelled, and whoever waits for it
// makes another. So a job costs no task of its own. Made by QueueRun, stopped by RunningJob.

import Synchronization

/// A task that can be cancelled without the one that waits for it, and is cancelled with it.
final class Runner: Sendable {
    private struct State {
        var cancel: (@Sendable () -> Void)?
        var isCut = false
        var isStopped = false
    }

    /// Guards what is known of the task.
    private let state = Mutex(State())

    /// Runs `body` in such a task, and waits for its end.
    static func run<Result: Sendable>(
        _ body: @escaping @Sendable (Runner) async throws -> Result
    ) async throws -> Result {
        let runner = Runner()
        // Not cancelled with this one by itself; waited for below.
        let work = Task { try await body(runner) }
        runner.begins { work.cancel() }
        return try await withTaskCancellationHandler {
            try await work.value
        } onCancel: {
            runner.cut()
        }
    }

    /// True once the task that waits for it was cancelled.
    var isCut: Bool { state.withLock { $0.isCut } }

    /// Cancels the task.
    func stop() {
        let cancel = state.withLock { state in
            state.isStopped = true
            return state.cancel
        }
        cancel?()
    }

    private func cut() {
        state.withLock { $0.isCut = true }
        stop()
    }

    private func begins(_ cancel: @escaping @Sendable () -> Void) {
        let isStopped = state.withLock { state in
            state.cancel = cancel
            return state.isStopped
        }
        if isStopped { cancel() }
    }
}
