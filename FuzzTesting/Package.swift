// swift-tools-version: 6.2
import PackageDescription

// LeveretCore and LeveretWire are links to the real sources, so that they alone are built with the fuzzer's
// instruments, and not the broker and SQLite behind them.
let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"), .treatAllWarnings(as: .error),
]

let package = Package(
    name: "leveret-fuzz-testing",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    ],
    targets: [
        .target(
            name: "LeveretCore",
            dependencies: [
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "HeapModule", package: "swift-collections"),
            ],
            swiftSettings: strict
        ),
        .target(
            name: "LeveretWire",
            dependencies: ["LeveretCore", .product(name: "NIOCore", package: "swift-nio")],
            swiftSettings: strict
        ),
        .target(
            name: "FuzzChecks",
            dependencies: [
                "LeveretCore", "LeveretWire", .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: strict
        ),
        .executableTarget(name: "Fuzz", dependencies: ["FuzzChecks"], swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)
