// What the fuzzer can be set upon. The fuzzer calls it with bytes of its own; LeveretWireTests calls it with
// every input that ever failed.

/// A parser that outsiders can hand bytes to, and the promises it keeps whatever they are.
package enum FuzzTarget: String, CaseIterable, Sendable {
    /// A whole talk in the line protocol, in any pieces, with its replies.
    case line
    /// What a client says on an open AMQP connection, in any pieces.
    case amqp
    /// AMQP's field tables.
    case table
    /// AMQP's lists of properties.
    case properties
    /// JSON text in headers.
    case json
    /// Topic patterns, against the definition written plainly.
    case topic

    /// Says which promise `bytes` break, or `nil`. Crashes where the code under test does.
    package func fault(in bytes: [UInt8]) -> String? {
        switch self {
        case .line: LineCheck.fault(in: bytes)
        case .amqp: AMQPCheck.fault(in: bytes)
        case .table: CodecCheck.faultInTable(bytes)
        case .properties: CodecCheck.faultInProperties(bytes)
        case .json: CodecCheck.faultInJSON(bytes)
        case .topic: TopicCheck.fault(in: bytes)
        }
    }
}
