// Queues with a handful of features each, drawn by chance, so that the features meet in the crash tests in many
// combinations: some of their settings are arguments, others come from a policy.

/// What a queue does besides queueing.
enum Feature: Int, CaseIterable, Sendable {
    /// Messages expire and are dead-lettered.
    case ttl
    /// Messages are delayed when they are published.
    case delay
    /// What comes back waits.
    case retry
    /// What fails too often is dead-lettered.
    case limit
    /// Some messages go first.
    case priority
    /// Ids count for an hour.
    case window
    /// Ids count while their message is there.
    case whileQueued
    /// Deliveries are held on leases.
    case lease
    /// One consumer at a time.
    case singleActive
    /// A full queue refuses publishes.
    case maxLength
}

/// A queue with features, and what its clients must know of them.
struct DrawnQueue: Sendable, CustomStringConvertible {
    /// How many are drawn together.
    static let count = 5
    /// Those that a policy can set.
    private static let byPolicy: Set<Feature> = [.ttl, .limit, .window, .whileQueued, .maxLength]
    /// Longer than any run.
    static let farOffMilliseconds = 36_000_000

    /// `drawn.0.3`
    let name: String
    /// What it does.
    private(set) var features: Set<Feature> = []
    /// Its arguments, as QUEUE takes them.
    private(set) var options = ""
    /// Further settings, as POLICY takes them.
    private(set) var policy = ""
    /// Messages don't wait for longer than a moment.
    private(set) var isShortLived = false
    /// The shortest wait of what is counted as failed.
    private(set) var failedWait: Duration?
    /// The shortest wait of what is given back free of charge.
    private(set) var returnedWait: Duration?

    /// The queue and its dead letters.
    var group: QueueGroup {
        QueueGroup(source: name, options: options, dead: "\(name).dead", pairsIDs: has(.whileQueued))
    }

    /// All that was drawn.
    var description: String {
        "QUEUE \(name) \(options) POLICY\(policy) \(features.sorted { $0.rawValue < $1.rawValue })"
    }

    /// Whether it has the feature.
    func has(_ feature: Feature) -> Bool { features.contains(feature) }

    /// The queues of a generation: each feature is in at least one of them.
    static func draw(generation: Int, using chance: inout Chance) -> [DrawnQueue] {
        (0..<count).map { DrawnQueue("drawn.\(generation).\($0)", index: $0, using: &chance) }
    }

    private init(_ name: String, index: Int, using chance: inout Chance) {
        self.name = name
        for feature in Feature.allCases
        where feature.rawValue % Self.count == index || chance.next(below: 3) == 0 {
            features.insert(feature)
        }
        if has(.window) { features.remove(.whileQueued) }
        options = "dead-letter-exchange=\"\" dead-letter-key=\(name).dead"
        for feature in Feature.allCases where has(feature) {
            let settings = settings(of: feature, using: &chance)
            if Self.byPolicy.contains(feature), chance.next(below: 2) == 0 {
                policy += " " + settings
            } else {
                options += " " + settings
            }
        }
    }

    private mutating func settings(of feature: Feature, using chance: inout Chance) -> String {
        switch feature {
        case .ttl:
            isShortLived = chance.next(below: 3) == 0
            return "ttl=\(isShortLived ? 50 : 3_600_000)"
        case .retry: return retrySettings(using: &chance)
        case .limit: return "delivery-limit=2"
        case .priority: return "max-priority=3"
        case .window: return "deduplicate=3600000"
        case .whileQueued: return "deduplicate=while-queued"
        case .singleActive: return "single-active"
        case .maxLength: return "max-length=100 overflow=reject-publish"
        case .delay, .lease: return ""  // the publisher's affair, and the consumer's
        }
    }

    private mutating func retrySettings(using chance: inout Chance) -> String {
        let type = ["failed", "returned", "all"][chance.next(below: 3)]
        let least = 10 + chance.next(below: 40)
        let jitter = chance.next(below: 2) * 50
        let wait = Duration.milliseconds(least * (100 - jitter) / 100)
        if type != "returned" { failedWait = wait }
        if type != "failed" { returnedWait = wait }
        return "delayed-retry-type=\(type) delayed-retry-min=\(least) delayed-retry-max=120"
            + " delayed-retry-jitter=\(jitter)"
            + " delayed-retry-backoff=\(chance.next(below: 2) == 0 ? "linear" : "exponential")"
    }

    /// The id that the message `sequence` is published with, where ids matter.
    func id(of sequence: Int) -> String? {
        has(.window) ? "w\(sequence)" : has(.whileQueued) ? "q\(sequence / 2)" : nil
    }

    /// The priority of the message `sequence`.
    func priority(of sequence: Int) -> Int { has(.priority) ? sequence % 4 : 0 }
}
