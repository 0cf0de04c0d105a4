// FIPS 180-4's SHA-256, for what makes jobs the same. Foundation has none on Linux, and a library for it would be the
// heaviest thing that LeveretTasks pulls in.

/// The hash function SHA-256.
enum SHA256 {
    /// The 32 bytes of the hash of `bytes`.
    static func hash(_ bytes: [UInt8]) -> [UInt8] {
        var state: [UInt32] = [
            0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab,
            0x5be0_cd19,
        ]
        var padded = bytes
        padded.append(0x80)
        padded.append(contentsOf: repeatElement(0, count: (120 - padded.count % 64) % 64))
        let bits = UInt64(bytes.count) &* 8
        for index in 0..<8 { padded.append(UInt8(truncatingIfNeeded: bits >> UInt64(56 - 8 * index))) }
        for start in stride(from: 0, to: padded.count, by: 64) {
            mix(padded[start..<start + 64], into: &state)
        }
        return state.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(24 - 8 * $0)) }
        }
    }

    private static func mix(_ block: ArraySlice<UInt8>, into state: inout [UInt32]) {
        var words = [UInt32](repeating: 0, count: 64)
        for (index, byte) in block.enumerated() { words[index / 4] = words[index / 4] << 8 | UInt32(byte) }
        for index in 16..<64 {
            let (old, young) = (words[index - 15], words[index - 2])
            let low = rotate(old, 7) ^ rotate(old, 18) ^ (old >> 3)
            let high = rotate(young, 17) ^ rotate(young, 19) ^ (young >> 10)
            words[index] = words[index - 16] &+ low &+ words[index - 7] &+ high
        }
        var (a, b, c, d) = (state[0], state[1], state[2], state[3])
        var (e, f, g, h) = (state[4], state[5], state[6], state[7])
        for index in 0..<64 {
            let high = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)
            let first = h &+ high &+ ((e & f) ^ (~e & g)) &+ constants[index] &+ words[index]
            let low = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)
            let second = low &+ ((a & b) ^ (a & c) ^ (b & c))
            (a, b, c, d, e, f, g, h) = (first &+ second, a, b, c, d &+ first, e, f, g)
        }
        for (index, word) in [a, b, c, d, e, f, g, h].enumerated() { state[index] = state[index] &+ word }
    }

    private static func rotate(_ word: UInt32, _ count: UInt32) -> UInt32 {
        word >> count | word << (32 - count)
    }

    /// The first 32 bits of the fractions of the cube roots of the first 64 primes.
    private static let constants: [UInt32] = {
        var found: [UInt32] = []
        var candidate: UInt64 = 2
        while found.count < 64 {
            if !(2..<candidate).prefix(while: { $0 * $0 <= candidate }).contains(where: {
                candidate % $0 == 0
            }) {
                found.append(cubeRootFraction(of: candidate))
            }
            candidate += 1
        }
        return found
    }()

    /// The first 32 bits behind the point of a cube root: the root of `number` × 2⁹⁶, found bit by bit.
    private static func cubeRootFraction(of number: UInt64) -> UInt32 {
        let target = UInt128(number) << 96
        var root: UInt128 = 0
        for bit in (0..<36).reversed() {
            let next = root | 1 << UInt128(bit)
            if next * next * next <= target { root = next }
        }
        return UInt32(truncatingIfNeeded: root)
    }
}
