// What kind of run a seed makes: swarm testing. Each seed turns some operations off entirely and gives the
// others very different weights, so that between them they reach what one even mix never would.

import Foundation
import LeveretCore
import LeveretTestSupport

/// Everything about a run that is decided once, by its seed.
struct Style: Codable {
    /// Counts up whenever more is drawn. A seed that failed earlier is run without what came later.
    static let vintage = 5

    enum Kind: String, Codable, CaseIterable {
        case open
        case close
        case disconnect
        case publish
        case transaction
        case settle
        case touch
        case get
        case consume
        case cancel
        case prefetch
        case recover
        case declareExchange
        case deleteExchange
        case declareQueue
        case deleteQueue
        case bind
        case unbind
        case purge
        case pause
        case policy
        case move
        case peek
        case drain
        case advance
        case work
        case commit
        case load
        case alarm
        case settleAll
        case crash
        case restart
        case single
        case virtualHost
    }

    /// Reads are answered and timers fire at once; then counts are exact at every step.
    var isExact: Bool
    var usesSQLite: Bool
    var weights: [String: Int] = [:]
    var queueCount: Int
    var exchangeCount: Int
    var sessionCount: Int
    var connectionCount: Int
    var hasTTL: Bool
    var hasLengths: Bool
    /// Settlements are left to a session's next transaction.
    var hasClaims = false
    var hasDeadLetters: Bool
    var hasSingleActive: Bool
    var hasConsumerPriorities: Bool
    var hasLeases: Bool
    var hasDeduplication: Bool
    var seenIDsMax: Int
    var bodyBytesMax: Int
    var persistentPercent: Int
    var failPercent: Int

    var windowCountMax: Int
    var windowCountMin: Int
    var windowBytesMax: Int
    var messageBytesMax: Int
    var outgoingBytesMax: Int
    var unackedCountMax: Int
    var sliceCount: Int
    var heldMarkMilliseconds: Int64
    var numbersReserved: Int64
    var parkedBytesMax: Int
    var rangeRowsMax: Int
    var hasPriorities: Bool
    var hasDelays: Bool
    var hasConditions = false
    var moveSearchMax = 4_096
    var hasCountFirst = false
    var hasExchangePolicies = false
    /// Queues that are full however little is in them.
    var hasFullQueues = false

    var coreLimits: CoreLimits {
        var limits = CoreLimits()
        limits.windowCountMax = windowCountMax
        limits.windowCountMin = windowCountMin
        limits.windowBytesMax = windowBytesMax
        limits.messageBytesMax = messageBytesMax
        limits.outgoingBytesMax = outgoingBytesMax
        limits.unackedCountMax = unackedCountMax
        limits.sliceCount = sliceCount
        limits.heldMarkMilliseconds = heldMarkMilliseconds
        limits.numbersReserved = numbersReserved
        limits.seenIDsMax = seenIDsMax
        // One style in three asks the store about whatever memory has not.
        if seenIDsMax == 3 { limits.idFilterBytesMax = 0 }
        limits.parkedBytesMax = parkedBytesMax
        limits.moveSearchMax = moveSearchMax
        limits.deadLetterCopiesMax = .max  // the model does not count them
        return limits
    }

    /// The style of a seed.
    init(using random: inout SplitMix64, usesSQLite: Bool, vintage: Int = Self.vintage) {
        func pick<T>(_ values: [T]) -> T { values[Int(random.next() % UInt64(values.count))] }
        isExact = pick([true, true, false])
        self.usesSQLite = usesSQLite
        queueCount = pick([1, 2, 3, 5])
        exchangeCount = pick([1, 2, 4])
        sessionCount = pick([1, 2, 4, 6])
        connectionCount = pick([1, 2, 3])
        hasTTL = pick([true, false])
        // Without exactness, whether a dead message on disk still counts is anyone's guess.
        hasLengths = isExact && pick([true, false])
        hasDeadLetters = pick([true, true, false])
        bodyBytesMax = pick([8, 40, 200])
        persistentPercent = pick([0, 50, 90, 100])
        failPercent = pick([0, 0, 10, 50])
        windowCountMax = pick([1, 4, 8, 16, 64])
        windowCountMin = pick([1, 2, 4])
        windowBytesMax = pick([64, 500, 100_000])
        messageBytesMax = pick([400, 2000, 6000, 1_000_000])
        outgoingBytesMax = pick([200, 100_000])
        unackedCountMax = pick([3, 1000])
        sliceCount = pick([1, 3, 512])
        heldMarkMilliseconds = pick([0, 10, 50])
        numbersReserved = pick([1, 7, 1000])
        // Room for more than die in one input: of those the model doesn't know which was parked last, and so
        // which of them goes when there is room for a few only.
        parkedBytesMax = isExact ? pick([2_000, 10_000]) : 1 << 30
        rangeRowsMax = pick([1, 4, 1000])
        // A generator of their own, so that what is added leaves the rest of a seed as it was.
        var extra = SplitMix64(seed: random.peek)
        func draw<T>(_ values: [T]) -> T { values[Int(extra.next() % UInt64(values.count))] }
        hasPriorities = draw([true, false])
        hasSingleActive = draw([true, false])
        hasConsumerPriorities = draw([true, false])
        hasLeases = draw([true, false])
        hasDeduplication = draw([true, false])
        seenIDsMax = draw([1, 3, 1000])
        hasDelays = draw([true, false])
        for kind in Kind.allCases where kind != .single && kind != .virtualHost {
            weights[kind.rawValue] = pick([0, 1, 1, 2, 4, 8]) * kind.share
        }
        // What is changed one by one may have to be read first, which the model follows at rest only.
        weights[Kind.single.rawValue] = hasDelays && isExact ? draw([0, 10, 40]) : 0
        for kind in [Kind.open, .publish, .declareQueue, .commit, .load, .work, .drain, .advance] {
            weights[kind.rawValue] = max(kind.share, weights[kind.rawValue] ?? 0)
        }
        guard vintage > 1 else { return }
        hasConditions = draw([true, false])
        moveSearchMax = draw([1, 3, 4_096])
        hasCountFirst = draw([true, false])
        hasExchangePolicies = draw([true, false])
        if hasConditions { weights[Kind.move.rawValue, default: 0] += 8 }
        if hasExchangePolicies { weights[Kind.policy.rawValue, default: 0] += 8 }
        guard vintage > 2 else { return }
        weights[Kind.virtualHost.rawValue] = draw([0, 0, 3, 12])
        guard vintage > 3 else { return }
        hasClaims = draw([true, false])
        if vintage > 4, !isExact { drawForReaders(using: &extra) }
    }

    /// What is looked at before all of it is in memory.
    private mutating func drawForReaders(using random: inout SplitMix64) {
        hasFullQueues = random.next() % 2 == 0
        // Of what stands still until it is taken, the model can tell when it is changed.
        if !hasDelays, !hasTTL { weights[Kind.single.rawValue] = [0, 10, 40][Int(random.next() % 3)] }
    }
}

extension Style.Kind {
    /// How often an operation comes at an even mix.
    fileprivate var share: Int {
        switch self {
        case .publish, .settle: 40
        case .drain, .commit, .load: 20
        case .advance, .work, .transaction, .get: 8
        case .consume, .open, .declareQueue: 6
        case .bind, .cancel, .declareExchange, .peek, .purge, .pause, .policy, .touch, .move, .prefetch,
            .recover:
            2
        case .close, .disconnect, .unbind, .deleteQueue, .deleteExchange, .settleAll: 1
        case .alarm, .crash, .restart, .single, .virtualHost: 1
        }
    }
}

extension SplitMix64 {
    /// What comes next, without taking it.
    var peek: UInt64 {
        var copy = self
        return copy.next()
    }
}
