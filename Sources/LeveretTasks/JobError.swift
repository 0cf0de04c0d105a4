// What LeveretTasks refuses, and how a handler ends a job on purpose.

/// A refusal of LeveretTasks: what was refused, why, and what to do.
public struct JobError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kind of a refusal.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Kind: String { case invalid, duplicate, notFound, alreadyRunning, undecodable, endless }
        private let kind: Kind

        /// A name or value that can't be.
        public static let invalid = Code(kind: .invalid)
        /// Two kinds of jobs of one name.
        public static let duplicate = Code(kind: .duplicate)
        /// No such job.
        public static let notFound = Code(kind: .notFound)
        /// The worker has been started.
        public static let alreadyRunning = Code(kind: .alreadyRunning)
        /// A payload that is not what its kind of job is made of.
        public static let undecodable = Code(kind: .undecodable)

        /// A test whose jobs do not come to an end.
        public static let endless = Code(kind: .endless)

        /// The code's name.
        public var description: String { kind.rawValue }
    }

    /// What kind of refusal it is.
    public var code: Code
    /// One lower-case sentence without a full stop.
    public var text: String

    /// A refusal.
    init(_ code: Code, _ text: String) {
        self.code = code
        self.text = text
    }

    /// The sentence.
    public var description: String { text }
}

/// How a handler ends its job otherwise than by returning or failing: thrown, and not counted as a failure.
///
/// ```swift
/// guard await shop.isOpen else { throw JobExit.snooze(for: .seconds(600)) }
/// ```
public struct JobExit: Error, Hashable, Sendable {
    enum Way: Hashable {
        case snooze(Duration)
        case discard(String)
        case cancel(String)
    }

    let way: Way

    /// Runs the job again so much later; the attempt does not count.
    public static func snooze(for duration: Duration) -> JobExit { JobExit(way: .snooze(duration)) }
    /// Gives the job up, without trying it again: it goes to the discarded ones.
    public static func discard(_ reason: String) -> JobExit { JobExit(way: .discard(reason)) }
    /// Ends the job as cancelled: what it was to do is no longer wanted.
    public static func cancel(_ reason: String = "") -> JobExit { JobExit(way: .cancel(reason)) }
}
