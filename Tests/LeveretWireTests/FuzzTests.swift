import Foundation
import FuzzChecks
import LeveretTestSupport
import Testing

/// What `make fuzz` found once, and its seeds with random bytes changed; the fuzzer itself takes minutes.
@Suite struct FuzzTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../FuzzTesting")

    private static func inputs(_ kind: String, _ target: FuzzTarget) -> [[UInt8]] {
        let files = FileManager.default.enumerator(
            at: folder.appending(path: "\(kind)/\(target.rawValue)"), includingPropertiesForKeys: nil)
        // A target without failures has no folder.
        return (files?.allObjects as? [URL] ?? []).compactMap { file in
            (try? Data(contentsOf: file)).map { Array($0) }
        }
    }

    @Test(arguments: FuzzTarget.allCases)
    func `what failed once holds`(target: FuzzTarget) {
        let seeds = Self.inputs("Seeds", target)
        #expect(!seeds.isEmpty)
        for input in seeds + Self.inputs("FailCases", target) {
            #expect(target.fault(in: input) == nil, "\(input)")
        }
    }

    @Test(arguments: FuzzTarget.allCases)
    func `seeds with changed bytes break no promise`(target: FuzzTarget) {
        var random = SplitMix64(seed: 7)
        for seed in Self.inputs("Seeds", target) {
            for _ in 0..<150 {
                var input = seed
                for _ in 0..<Int.random(in: 1...4, using: &random) where !input.isEmpty {
                    let place = Int.random(in: 0..<input.count, using: &random)
                    switch Int.random(in: 0..<4, using: &random) {
                    case 0: input.remove(at: place)
                    case 1: input.insert(input[Int.random(in: 0..<input.count, using: &random)], at: place)
                    case 2: input[place] = .random(in: 0...255, using: &random)
                    default: input.removeSubrange(place...)
                    }
                }
                #expect(target.fault(in: input) == nil, "\(input)")
            }
        }
    }
}
