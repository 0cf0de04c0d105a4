// A folder for one test, gone when the test is.

package import Foundation

/// A folder of its own below the system's folder for temporary files.
package struct TemporaryFolder: ~Copyable {
    /// Where it is.
    package let url: URL

    /// Makes an empty folder; throws what the file system says.
    package init() throws {
        url = FileManager.default.temporaryDirectory.appending(path: "leveret-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }  // what is left is the system's to clean

    /// The path of `name` within the folder.
    package func path(_ name: String) -> String { url.appending(path: name).path() }
}
