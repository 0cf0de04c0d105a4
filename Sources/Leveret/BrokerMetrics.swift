// What the broker tells a metrics backend (swift-metrics): its own totals, every five seconds, and how long each commit
// took. Nothing is counted for it: a message costs the same with a backend and without.
//
// To add one: a line here, and a row in docs/operations.md.

import CoreMetrics
import LeveretCore

/// The broker's metrics in one backend.
struct BrokerMetrics: Sendable {
    /// So many milliseconds lie between two reports.
    static let intervalMilliseconds: Int64 = 5000

    /// A total that only grows: its name, and where it stands in the status.
    private static let totals: [(name: String, value: @Sendable (BrokerStatus) -> Int)] = [
        ("leveret_published_total", { $0.published }),
        ("leveret_delivered_total", { $0.delivered }),
        ("leveret_acked_total", { $0.acked }),
        ("leveret_unroutable_total", { $0.unroutable }),
        ("leveret_deduplicated_total", { $0.deduplicated }),
        ("leveret_parked_total", { $0.parked }),
    ]

    /// A number that goes up and down.
    private static let levels: [(name: String, value: @Sendable (BrokerStatus) -> Int)] = [
        ("leveret_ready", { $0.ready }),
        ("leveret_unacked", { $0.unacked }),
        ("leveret_delayed", { $0.delayed }),
        ("leveret_queues", { $0.queues }),
        ("leveret_exchanges", { $0.exchanges }),
        ("leveret_consumers", { $0.consumers }),
        ("leveret_connections", { $0.connections }),
        ("leveret_alarms", { $0.alarms.count }),
        ("leveret_message_bytes", { $0.messageBytes }),
        ("leveret_resident_bytes", { $0.residentBytes }),
        ("leveret_database_bytes", { $0.databaseBytes }),
    ]

    private struct Total: Sendable {
        let counter: Counter
        let value: @Sendable (BrokerStatus) -> Int
    }

    private let totals: [Total]
    private let levels: [(gauge: Gauge, value: @Sendable (BrokerStatus) -> Int)]
    private let diskFree: Gauge
    private let commits: Timer

    /// Metrics that `factory` makes; `nil` where that is the one that does nothing.
    init?(_ factory: any MetricsFactory) {
        if factory is NOOPMetricsHandler { return nil }
        let dead = DeathReason.allCases.map { reason in
            Total(
                counter: Counter(
                    label: "leveret_dead_total", dimensions: [("reason", reason.rawValue)], factory: factory)
            ) { $0.deaths[reason] ?? 0 }
        }
        totals =
            Self.totals.map {
                Total(counter: Counter(label: $0.name, factory: factory), value: $0.value)
            } + dead
        levels = Self.levels.map { (Gauge(label: $0.name, factory: factory), $0.value) }
        diskFree = Gauge(label: "leveret_disk_free_bytes", factory: factory)
        commits = Timer(label: "leveret_commit_seconds", factory: factory)
    }

    /// Tells the backend how the broker now is, and what was added since `before`.
    func report(_ status: BrokerStatus, since before: BrokerStatus) {
        for total in totals {
            let more = total.value(status) - total.value(before)
            if more > 0 { total.counter.increment(by: more) }
        }
        for (gauge, value) in levels { gauge.record(value(status)) }
        if let free = status.diskFreeBytes { diskFree.record(free) }
    }

    /// Tells the backend how long a commit took.
    func committed(in duration: Duration) { commits.recordNanoseconds(Int64(duration / .nanoseconds(1))) }
}

/// When the broker next tells its backend, and what it told last.
struct MetricsReport {
    private let metrics: BrokerMetrics
    private let engine: Engine
    private(set) var next: Instant
    private var told = BrokerStatus()

    /// Reports of this engine, if it has a backend, from now on.
    init?(of engine: Engine) {
        guard let metrics = engine.metrics else { return nil }
        self.metrics = metrics
        self.engine = engine
        next = engine.clock.now()
    }

    /// Reports where it is time to, or the broker ends.
    mutating func reportIfDue(isLast: Bool = false) {
        let now = engine.clock.now()
        guard now >= next || isLast else { return }
        next = now.advanced(byMilliseconds: BrokerMetrics.intervalMilliseconds)
        engine.refreshFacts()
        let status = engine.enter { state, now in state.core.status(now: now) }
        metrics.report(status, since: told)
        told = status
    }
}
