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
        case releaseEarly(plan: MessageNumber, FoldedReports)
        /// Record the job that `plan` holds as cancelled, and settle all.
        case cancel(plan: MessageNumber, reports: [MessageNumber], because: JobID)
        /// Record the job that `plan` holds as cancelled, and leave a mark in its place until the others have reported.
        case cancelEarly(plan: MessageNumber, FoldedReports)
        /// Settle the reports, and have the plan remember them: more would be held than can be.
        case fold(plan: MessageNumber, reports: [MessageNumber], FoldedReports)
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
        /// What was reported and is settled.
        var folded = FoldedReports()
        var reports: [JobID: Report] = [:]
        /// How long their outputs are together.
        var bytes = 0
        /// Reports that came twice.
        var doubles: [MessageNumber] = []
    }

    private var waiting: [JobID: Waiting] = [:]

    /// How many jobs wait.
    var count: Int { waiting.count }

    /// A job that waits was read, or the mark of one that was released early.
    mutating func planned(
        _ id: JobID, _ plan: MessageNumber, needs: Int, _ condition: Workflow.Condition, isSpent: Bool,
        _ folded: FoldedReports
    ) -> Action? {
        waiting[id, default: Waiting()].plan = plan
        waiting[id]?.needs = needs
        waiting[id]?.condition = condition
        waiting[id]?.isSpent = isSpent
        waiting[id]?.folded = folded
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
            waiting[id]?.bytes += report.output?.utf8.count ?? 0
        }
        return action(for: id)
    }

    /// Somebody wants a job cancelled; `nil` where it does not wait.
    mutating func cancelled(_ id: JobID) -> Action? {
        guard let entry = waiting[id], let plan = entry.plan, !entry.isSpent else { return nil }
        spend(id)
        return .cancelEarly(plan: plan, entry.folded)
    }

    /// The mark that is left in the place of the job comes back as its plan.
    private mutating func spend(_ id: JobID) {
        waiting[id]?.plan = nil
        waiting[id]?.isSpent = true
    }

    private mutating func action(for id: JobID) -> Action? {
        guard let entry = waiting[id], let plan = entry.plan else { return nil }
        let hasAll = entry.folded.count + entry.reports.count >= entry.needs
        let failures = entry.reports.filter { $0.value.state != .completed }.keys
        let failed = (failures + [entry.folded.failed].compactMap { $0 }).min()
        let reports = (entry.reports.values.map(\.number) + entry.doubles).sorted()
        let outputs = entry.folded.inputs.merging(entry.reports.compactMapValues(\.output)) { $1 }
        if hasAll { waiting[id] = nil }
        switch (entry.isSpent, entry.condition, hasAll) {
        case (true, _, true): return .drop([plan] + reports)
        case (true, _, false): return fold(id, plan, reports, failed)
        case (false, .allEnded, true): return .release(plan: plan, reports: reports, inputs: outputs)
        case (false, .allCompleted, true):
            guard let failed else { return .release(plan: plan, reports: reports, inputs: outputs) }
            return .cancel(plan: plan, reports: reports, because: failed)
        case (false, .anyFailed, true):
            if failed == nil { return .drop([plan] + reports) }
            return .release(plan: plan, reports: reports, inputs: outputs)
        case (false, .anyFailed, false):
            guard failed != nil else { return fold(id, plan, reports, failed) }
            spend(id)
            return .releaseEarly(plan: plan, entry.folded)
        case (false, _, false): return fold(id, plan, reports, failed)
        }
    }

    /// What is held of reports to one job becomes a part of its plan before it is too much.
    private mutating func fold(
        _ id: JobID, _ plan: MessageNumber, _ reports: [MessageNumber], _ failed: JobID?
    ) -> Action? {
        guard let entry = waiting[id],
            entry.reports.count >= Self.reportsMax || entry.bytes > FinishedJob.outputBytesMax
        else { return nil }
        var folded = entry.folded
        folded.count += entry.reports.count
        folded.failed = failed
        // Nobody is handed what is reported to one that has been enqueued.
        if !entry.isSpent { folded.keep(entry.reports.compactMapValues(\.output)) }
        waiting[id]?.folded = folded
        waiting[id]?.reports = [:]
        waiting[id]?.bytes = 0
        waiting[id]?.doubles = []
        return .fold(plan: plan, reports: reports, folded)
    }

    /// How many reports to one job are held at most.
    static let reportsMax = 1_000
}

/// What has been reported to a job and is settled: its plan says so in its headers.
struct FoldedReports: Equatable, Sendable {
    /// How many jobs have reported.
    var count = 0
    /// The first of them, by id, that has not completed.
    var failed: JobID?
    /// What they returned, as far as it is kept.
    private(set) var inputs: [JobID: String] = [:]

    /// Keeps outputs as long as there is room.
    mutating func keep(_ outputs: [JobID: String]) {
        var bytes = inputs.values.reduce(0) { $0 + $1.utf8.count }
        for (id, output) in outputs.sorted(by: { $0.key < $1.key }) {
            bytes += output.utf8.count
            guard bytes <= FinishedJob.outputBytesMax else { return }
            inputs[id] = output
        }
    }
}

extension FoldedReports {
    /// What the headers of a plan say.
    init(_ headers: FieldTable) {
        guard case .table(let table)? = headers[JobHeader.reported] else { return }
        count = Int(min(max(table["count"]?.int ?? 0, 0), Int64(Workflow.countMax)))
        failed = table["failed"]?.text.map { JobID($0) }
        guard case .table(let kept)? = headers[JobHeader.inputs] else { return }
        for field in kept.fields { inputs[JobID(field.name)] = field.value.text }
    }

    /// The headers that say so.
    var headers: FieldTable {
        guard count > 0 else { return FieldTable() }
        var table: FieldTable = ["count": .int(Int64(count))]
        if let failed { table["failed"] = .string(failed.rawValue) }
        return [JobHeader.reported: .table(table), JobHeader.inputs: .table(Self.table(inputs))]
    }

    /// What jobs returned, as a header has it; as much as is kept.
    static func table(_ inputs: [JobID: String]) -> FieldTable {
        var kept = FoldedReports()
        kept.keep(inputs)
        var table = FieldTable()
        for (id, output) in kept.inputs.sorted(by: { $0.key < $1.key }) {
            table[id.rawValue] = .string(output)
        }
        return table
    }
}
