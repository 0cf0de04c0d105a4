// AMQP's short strings (§4.2.5.3), bounded in one place: names, routing keys and the texts of properties.

/// The bound of names, keys and the texts of properties.
enum ShortString {
    /// Bytes of UTF-8.
    static let bytesMax = 255

    /// Throws 406 for a text that is too long; `what` names it.
    static func check(_ text: String, _ what: @autoclosure () -> String) throws(BrokerError) {
        let count = text.utf8.count
        guard count <= bytesMax else {
            throw BrokerError(.preconditionFailed, "\(what()) has \(count) bytes; the most is \(bytesMax)")
        }
    }
}
