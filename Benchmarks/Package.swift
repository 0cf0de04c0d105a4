// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "leveret-benchmarks",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "leveret", path: "..")],
    targets: [
        .target(name: "LineLoad", linkerSettings: [.linkedLibrary("sqlite3")]),
        .executableTarget(
            name: "Bench",
            dependencies: [
                "LineLoad",
                .product(name: "Leveret", package: "leveret"),
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
