// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "leveret-benchmarks",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "leveret", path: ".."),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: [
        .target(name: "LineLoad", linkerSettings: [.linkedLibrary("sqlite3")]),
        .executableTarget(
            name: "Bench",
            dependencies: [
                "LineLoad",
                .product(name: "Leveret", package: "leveret"),
                .product(name: "LeveretTasks", package: "leveret"),
                .product(name: "Logging", package: "swift-log"),
                // The server that is measured, so that one build makes both.
                .product(name: "leveret", package: "leveret"),
            ],
            swiftSettings: [
                .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("InternalImportsByDefault"),
                .enableUpcomingFeature("MemberImportVisibility"),
                .enableUpcomingFeature("NonisolatedNonsendingByDefault"), .treatAllWarnings(as: .error),
            ]),
    ],
    swiftLanguageModes: [.v6]
)
