// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

let package = Package(
    name: "leveret",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "Leveret", targets: ["Leveret"]),
        .library(name: "LeveretServer", targets: ["LeveretServer"]),
        .library(name: "LeveretTasks", targets: ["LeveretTasks"]),
        .library(name: "LeveretTasksGRDB", targets: ["LeveretTasksGRDB"]),
        .executable(name: "leveret", targets: ["LeveretCLI"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.4.1"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    ],
    targets: [
        .systemLibrary(name: "CSQLite", providers: [.apt(["libsqlite3-dev"]), .brew(["sqlite3"])]),
        .target(
            name: "LeveretCore",
            dependencies: [
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "HeapModule", package: "swift-collections"),
            ],
            swiftSettings: strict
        ),
        .target(
            name: "Leveret",
            dependencies: [
                "LeveretCore",
                "CSQLite",
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict
        ),
        .target(
            name: "LeveretTasks",
            dependencies: [
                "Leveret",
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Instrumentation", package: "swift-distributed-tracing"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ],
            swiftSettings: strict
        ),
        .target(
            name: "LeveretTasksGRDB",
            dependencies: [
                "Leveret", "LeveretTasks",
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict
        ),
        .target(
            name: "LeveretWire",
            dependencies: ["LeveretCore", .product(name: "NIOCore", package: "swift-nio")],
            swiftSettings: strict
        ),
        .target(
            name: "LeveretServer",
            dependencies: [
                "Leveret", "LeveretWire",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOTLS", package: "swift-nio"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict
        ),
        .systemLibrary(name: "CYAML", providers: [.apt(["libyaml-dev"]), .brew(["libyaml"])]),
        .executableTarget(
            name: "LeveretCLI",
            dependencies: [
                "CYAML",
                "Leveret", "LeveretServer", "LeveretTasks", "LeveretWire",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOTLS", package: "swift-nio"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict
        ),
        // What the fuzzer checks, for the tests that replay its findings; FuzzTesting/ builds it on its own.
        .target(
            name: "FuzzChecks",
            dependencies: ["LeveretCore", "LeveretWire", .product(name: "NIOCore", package: "swift-nio")],
            path: "FuzzTesting/Sources/FuzzChecks", swiftSettings: strict
        ),
        .target(name: "LeveretTestSupport", dependencies: ["LeveretCore"], swiftSettings: strict),
        .testTarget(
            name: "LeveretCoreTests",
            dependencies: [
                "LeveretCore", "LeveretTestSupport",
                .product(name: "HeapModule", package: "swift-collections"),
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "LeveretCrashTests", dependencies: ["LeveretTestSupport"], swiftSettings: strict
        ),
        // What they kill.
        .executableTarget(
            name: "crash-worker",
            dependencies: [
                "Leveret", "LeveretTasks", "LeveretTestSupport",
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Tests/CrashWorker", swiftSettings: strict
        ),
        .testTarget(
            name: "LeveretTasksCrashTests", dependencies: ["LeveretTestSupport"], swiftSettings: strict
        ),
        .testTarget(
            name: "LeveretTests",
            dependencies: [
                "Leveret", "LeveretCore", "LeveretTestSupport",
                "CSQLite",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "MetricsTestKit", package: "swift-metrics"),
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "LeveretTasksTests",
            dependencies: [
                "Leveret", "LeveretServer", "LeveretTasks", "LeveretTestSupport",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "InMemoryTracing", package: "swift-distributed-tracing"),
                .product(name: "MetricsTestKit", package: "swift-metrics"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            exclude: ["Cron/instants.py", "Cron/instants.txt"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "LeveretTasksGRDBTests",
            dependencies: [
                "Leveret", "LeveretTasks", "LeveretTasksGRDB", "LeveretTestSupport",
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "LeveretWireTests",
            dependencies: [
                "FuzzChecks", "LeveretCore", "LeveretWire", "LeveretTestSupport",
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "LeveretCLITests",
            dependencies: [
                "Leveret", "LeveretCLI", "LeveretCore", "LeveretServer", "LeveretTasks", "LeveretTestSupport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict
        ),
        .testTarget(name: "ExampleTests", dependencies: ["LeveretTestSupport"], swiftSettings: strict),
        .testTarget(
            name: "LeveretServerTests",
            dependencies: [
                "Leveret", "LeveretServer", "LeveretWire", "LeveretTestSupport",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "InMemoryLogging", package: "swift-log"),
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "LeveretSimulationTests",
            dependencies: [
                "Leveret", "LeveretCore", "LeveretTestSupport",
                .product(name: "Logging", package: "swift-log"),
            ],
            exclude: ["Seeds.txt"],
            swiftSettings: strict
        ),
        .testTarget(name: "TidyTests", swiftSettings: strict),
        .executableTarget(
            name: "flights",
            dependencies: ["Leveret", .product(name: "Logging", package: "swift-log")],
            path: "examples/flights", exclude: ["expected.txt"], resources: [.copy("flights.csv")],
            swiftSettings: strict
        ),
        .executableTarget(
            name: "embedded-queue", dependencies: ["Leveret"], path: "examples/embedded-queue",
            exclude: ["expected.txt"], swiftSettings: strict
        ),
        .executableTarget(
            name: "dead-letters", dependencies: ["Leveret"], path: "examples/dead-letters",
            exclude: ["expected.txt"], swiftSettings: strict
        ),
        .executableTarget(
            name: "retry-and-delay",
            dependencies: ["Leveret", .product(name: "Logging", package: "swift-log")],
            path: "examples/retry-and-delay", exclude: ["expected.txt"], swiftSettings: strict
        ),
        .executableTarget(
            name: "nightly",
            dependencies: ["Leveret", "LeveretTasks", .product(name: "Logging", package: "swift-log")],
            path: "examples/nightly", exclude: ["expected.txt"], swiftSettings: strict
        ),
        .executableTarget(
            name: "thumbnails",
            dependencies: ["Leveret", "LeveretTasks", .product(name: "Logging", package: "swift-log")],
            path: "examples/thumbnails", exclude: ["expected.txt"], swiftSettings: strict
        ),
        .executableTarget(
            name: "workflow",
            dependencies: ["Leveret", "LeveretTasks", .product(name: "Logging", package: "swift-log")],
            path: "examples/workflow", exclude: ["expected.txt"], swiftSettings: strict
        ),
        .executableTarget(
            name: "signup",
            dependencies: [
                "Leveret", "LeveretTasks", "LeveretTasksGRDB", .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "examples/signup", exclude: ["expected.txt"], swiftSettings: strict
        ),
    ],
    swiftLanguageModes: [.v6]
)
