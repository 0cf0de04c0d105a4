// What a connection has said since BEGIN. It is kept here and reaches the broker as one request at COMMIT, so
// that a connection that is lost in between has changed nothing. LineSession owns it.

import LeveretCore

/// The requests between BEGIN and COMMIT.
struct LineTransaction: Sendable {
    private(set) var requests: [Request] = []
    /// The tags of those that have one, by their place.
    private(set) var tags: [Int: String] = [:]
    /// What the messages among them weigh.
    private(set) var bytes = 0
    /// Requests that were taken or refused.
    private var count = 0
    /// Why it can't be committed any more: the first request that was refused, named.
    private(set) var refusal: BrokerError?

    /// Takes a publish or a settlement, or says why not. What was refused once keeps all from being done.
    mutating func add(_ request: Request, tag: [UInt8], limits: LineLimits) -> BrokerError? {
        if let refusal {
            let text = "this transaction can't be committed any more: \(refusal.text); ROLLBACK ends it"
            return BrokerError(.commandInvalid, text)
        }
        switch request {
        case .publish(let message, _): bytes += message.footprint
        case .settle: bytes += 160
        default:
            let text =
                "between BEGIN and COMMIT stand only PUB, ACK, NACK and REJECT; COMMIT or ROLLBACK first"
            return refuse(BrokerError(.commandInvalid, text), tag: tag)
        }
        guard requests.count < limits.transactionCountMax, bytes <= limits.transactionBytesMax else {
            let most = "\(limits.transactionCountMax) requests and \(limits.transactionBytesMax) bytes"
            let text = "the transaction is too large; it may have \(most); commit in smaller parts"
            return refuse(BrokerError(.preconditionFailed, text), tag: tag)
        }
        if !tag.isEmpty { tags[count] = String(decoding: tag, as: UTF8.self) }
        requests.append(request)
        count += 1
        return nil
    }

    /// Notes that a request was refused: nothing of the transaction is kept, and COMMIT says why.
    mutating func refuse(_ error: BrokerError, tag: [UInt8]) -> BrokerError {
        spoil(error.named(count, tag: tag.isEmpty ? nil : String(decoding: tag, as: UTF8.self)))
        return error
    }

    /// Keeps nothing of the transaction any more; COMMIT says why.
    mutating func spoil(_ error: BrokerError) {
        guard refusal == nil else { return }
        refusal = error
        requests = []
        tags = [:]
        bytes = 0
    }
}

extension BrokerError {
    /// The error as COMMIT shows it: with the place of the request, from 1, and its tag.
    func named(_ place: Int, tag: String?) -> BrokerError {
        BrokerError(code, "request \(place + 1)\(tag.map { " (#\($0))" } ?? ""): \(text)")
    }
}
