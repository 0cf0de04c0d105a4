// Which jobs wait for which, and what has been reported to them: facts go in as they are read from the broker, actions
// come out. Dependents carries them out. After a restart the same facts are read again.

import Leveret

/// The jobs that wait for others.
struct DependencyTable {
    /// What is to be done, in one transaction each.
    enum Action: Equatable {
        /// Enqueue the job that `plan` holds, and settle all.
        case release(plan: MessageNumber, reports: [MessageNumber], inputs: [JobID: String])
        /// Enqueue the job that `plan` holds, and leave a mark in its place until the others have reported.
        case releaseEarly(plan: MessageNumber)
        /// Record the job that `plan` holds as cancelled, and settle all.
        case cancel(plan: MessageNumber, reports: [MessageNumber], because: JobID)
        /// Record the job that `plan` holds as cancelled, and leave a mark in its place until the others have reported.
        case cancelEarly(plan: MessageNumber)
        /// Settle all, and do nothing.
        case drop([MessageNumber])
    }

    private struct Report {
        var number: MessageNumber
        var state: JobState
        var output: String?
    }

    private struct Waiting {
        /// The message of the job that waits, or of the mark in its place.
        var plan: MessageNumber?
        var needs = 0
        var condition = Workflow.Condition.allCompleted
        /// The job has been enqueued; what is reported from now on is only counted.
        var isSpent = false
        var reports: [JobID: Report] = [:]
        /// Reports that came twice.
        var doubles: [MessageNumber] = []
    }

    private var waiting: [JobID: Waiting] = [:]

    /// How many jobs wait.
    var count: Int { waiting.count }

    /// A job that waits was read, or the mark of one that was released early.
    mutating func planned(
        _ id: JobID, _ plan: MessageNumber, needs: Int, _ condition: Workflow.Condition, isSpent: Bool
    ) -> Action? {
        waiting[id, default: Waiting()].plan = plan
        waiting[id]?.needs = needs
        waiting[id]?.condition = condition
        waiting[id]?.isSpent = isSpent
        return action(for: id)
    }

    /// A report was read.
    mutating func reported(_ report: DependencyReport, _ number: MessageNumber) -> Action? {
        let id = report.dependent
        if waiting[id]?.reports[report.job] != nil {
            waiting[id]?.doubles.append(number)
        } else {
            waiting[id, default: Waiting()].reports[report.job] = Report(
                number: number, state: report.state, output: report.output)
        }
        return action(for: id)
    }

    /// Somebody wants a job cancelled; `nil` where it does not wait.
    mutating func cancelled(_ id: JobID) -> Action? {
        guard let entry = waiting[id], let plan = entry.plan, !entry.isSpent else { return nil }
        spend(id)
        return .cancelEarly(plan: plan)
    }

    /// The mark that is left in the place of the job comes back as its plan.
    private mutating func spend(_ id: JobID) {
        waiting[id]?.plan = nil
        waiting[id]?.isSpent = true
    }

    private mutating func action(for id: JobID) -> Action? {
        guard let entry = waiting[id], let plan = entry.plan else { return nil }
        let hasAll = entry.reports.count >= entry.needs
        let failed = entry.reports.filter { $0.value.state != .completed }.keys.min()
        let reports = (entry.reports.values.map(\.number) + entry.doubles).sorted()
        let outputs = entry.reports.compactMapValues(\.output)
        if hasAll { waiting[id] = nil }
        switch (entry.isSpent, entry.condition, hasAll) {
        case (true, _, true): return .drop([plan] + reports)
        case (true, _, false): return nil
        case (false, .allEnded, true): return .release(plan: plan, reports: reports, inputs: outputs)
        case (false, .allCompleted, true):
            guard let failed else { return .release(plan: plan, reports: reports, inputs: outputs) }
            return .cancel(plan: plan, reports: reports, because: failed)
        case (false, .anyFailed, true):
            if failed == nil { return .drop([plan] + reports) }
            return .release(plan: plan, reports: reports, inputs: outputs)
        case (false, .anyFailed, false):
            guard failed != nil else { return nil }
            spend(id)
            return .releaseEarly(plan: plan)
        case (false, _, false): return nil
        }
    }
}
