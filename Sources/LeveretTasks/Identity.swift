// Chance and ids: one generator per `Jobs`, seeded by the system or by a test.

import Leveret
import Synchronization

/// Steele, Lea and Flood's SplitMix64.
struct Chance: Sendable {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// Makes ids and jitter.
final class Identity: Sendable {
    /// Guards the generator.
    private let chance: Mutex<Chance>

    init(seed: UInt64?) {
        chance = Mutex(Chance(seed: seed ?? UInt64.random(in: .min ... .max)))
    }

    /// A number from 0 to 1.
    func fraction() -> Double {
        Double(chance.withLock { $0.next() } >> 11) / Double(1 << 53)
    }

    /// An id that sorts behind those of earlier milliseconds: 48 bits of time and 77 of chance, in Crockford's base 32.
    func jobID(at now: Instant) -> JobID {
        let (high, low) = chance.withLock { ($0.next(), $0.next()) }
        let time = UInt64(clamping: now.milliseconds)
        let text = String(unsafeUninitializedCapacity: 26) { bytes in
            for index in 0..<10 { bytes[index] = Self.digit(time >> UInt64(45 - 5 * index)) }
            for index in 0..<8 { bytes[10 + index] = Self.digit(high >> UInt64(5 * index)) }
            for index in 0..<8 { bytes[18 + index] = Self.digit(low >> UInt64(5 * index)) }
            return 26
        }
        return JobID(text)
    }

    private static let digits = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)

    static func digit(_ bits: UInt64) -> UInt8 { digits[Int(bits & 31)] }
}
