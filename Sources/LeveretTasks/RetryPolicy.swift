// When an attempt that failed is tried again. JobWorker asks it; chance is handed in.

/// When a job that failed is tried again.
public struct RetryPolicy: Sendable {
    /// How long it waits after the attempt of this number (from 1), or `nil` to give it up.
    let wait: @Sendable (_ attempt: Int, _ error: any Error) -> Duration?
    /// By which part of a wait chance may lengthen or shorten it, 0 to 1.
    let jitter: Double

    /// Waits that double: `first`, twice that, and so on up to `most`, each longer or shorter by up to `jitter` of
    /// itself, so that what failed together is not tried again together.
    public static func exponential(
        first: Duration = .seconds(1), most: Duration = .seconds(86_400), jitter: Double = 0.1
    ) -> RetryPolicy {
        RetryPolicy(
            wait: { attempt, _ in
                let doublings = min(max(attempt - 1, 0), 40)
                let wait = Double(milliseconds: first) * Double(1 << doublings)
                return .milliseconds(Int64(min(wait, Double(milliseconds: most))))
            }, jitter: jitter)
    }

    /// The same wait each time.
    public static func every(_ wait: Duration, jitter: Double = 0) -> RetryPolicy {
        RetryPolicy(wait: { _, _ in wait }, jitter: jitter)
    }

    /// A wait for each failure, in order; after the last of them the job is given up.
    public static func schedule(_ waits: [Duration]) -> RetryPolicy {
        RetryPolicy(
            wait: { attempt, _ in waits.indices.contains(attempt - 1) ? waits[attempt - 1] : nil }, jitter: 0)
    }

    /// What `wait` says for the attempt that failed, counted from 1, and its error; `nil` gives the job up.
    public static func custom(
        _ wait: @escaping @Sendable (_ attempt: Int, _ error: any Error) -> Duration?
    ) -> RetryPolicy {
        RetryPolicy(wait: wait, jitter: 0)
    }

    /// The wait, with `chance` (0 to 1) in it.
    func delay(after attempt: Int, _ error: any Error, chance: Double) -> Duration? {
        guard let wait = wait(attempt, error) else { return nil }
        let part = min(max(jitter, 0), 1) * (2 * chance - 1)
        return max(.zero, wait + .milliseconds(Int64(Double(milliseconds: wait) * part)))
    }
}

extension Double {
    /// A duration in milliseconds.
    init(milliseconds duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self = Double(seconds) * 1_000 + Double(attoseconds) / 1e15
    }
}
