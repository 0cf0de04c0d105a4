// A picture in memory: painted, read from a PPM file and written to one, and made smaller.

import Foundation

/// Three bytes a pixel, row by row.
struct Picture: Sendable {
    let width: Int
    let height: Int
    private(set) var bytes: [UInt8]

    /// Rings around a point, as wide as `seed` says.
    init(painting seed: Int, width: Int, height: Int) {
        self.width = width
        self.height = height
        bytes = []
        bytes.reserveCapacity(width * height * 3)
        for y in 0..<height {
            for x in 0..<width {
                let (right, down) = (x - width / 3, y - height / 2)
                let ring = (right * right + down * down) / (40 * seed)
                bytes += [UInt8(ring & 255), UInt8((x * 255) / width), UInt8((y * seed) & 255)]
            }
        }
    }

    /// What a binary PPM file (`P6`, 255 steps, no comments) shows.
    init(ppm data: Data) throws {
        let words = data.prefix(32).split(separator: UInt8(ascii: "\n"), maxSplits: 3)
        let header = words.prefix(3).map { String(decoding: $0, as: UTF8.self) }
        let size = header.count == 3 ? header[1].split(separator: " ").compactMap { Int($0) } : []
        guard header.first == "P6", size.count == 2, size.allSatisfy({ (1...10_000).contains($0) }),
            header[2] == "255"
        else { throw NoPicture(text: "no PPM file") }
        let begin = header.map { $0.utf8.count + 1 }.reduce(0, +)
        guard data.count - begin == size[0] * size[1] * 3 else {
            throw NoPicture(text: "\(data.count - begin) bytes for \(size[0]) × \(size[1]) pixels")
        }
        (width, height, bytes) = (size[0], size[1], Array(data.dropFirst(begin)))
    }

    /// It as a PPM file.
    var ppm: Data { Data("P6\n\(width) \(height)\n255\n".utf8) + bytes }

    /// An eighth as wide and high, each pixel the mean of those that it stands for. Calls `row` when one is done.
    func shrunk(row: (_ done: Int, _ of: Int) async throws -> Void) async rethrows -> Picture {
        var small = Picture(width: width / 8, height: height / 8)
        for y in 0..<small.height {
            for x in 0..<small.width {
                for color in 0..<3 { small.bytes.append(mean(8 * x, 8 * y, color)) }
            }
            try await row(y + 1, small.height)
        }
        return small
    }

    private init(width: Int, height: Int) {
        (self.width, self.height, bytes) = (width, height, [])
    }

    private func mean(_ x: Int, _ y: Int, _ color: Int) -> UInt8 {
        var sum = 0
        for row in y..<y + 8 {
            for column in x..<x + 8 { sum += Int(bytes[(row * width + column) * 3 + color]) }
        }
        return UInt8(sum / 64)
    }
}

/// A file that is not a picture.
struct NoPicture: Error {
    var text: String
}
