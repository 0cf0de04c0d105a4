// What becomes of messages that are sent to a queue with too little room for them. Pure.

/// A queue that drops the oldest of its messages for those that come, and that is about to get more than it may hold.
struct Overflow: Equatable {
    /// What happens, for sentences: `queue 'q' holds at most 2 messages and drops its oldest for more: 3 would leave it
    /// for good`.
    let text: String

    /// What happens to the queue of this row when so many messages of so many bytes come; `nil` where all of them
    /// fit, or where they are refused.
    init?(_ row: JSON, count: Int, bytes: Int) {
        guard row.effective("x-overflow")?.text ?? "drop-head" == "drop-head" else { return nil }
        let fate = row.deadLetterExchange == nil ? "for good" : "as dead letters"
        let name = "queue '\(row.name.printable)'"
        if let most = row.effective("x-max-length")?.int, row.count("ready").adding(count) > most {
            let surplus = row.count("ready").adding(count).adding(-most)
            text =
                "\(name) holds at most \(counted(most, "message")) and drops its oldest for more: "
                + "\(Quantity.count(surplus)) would leave it \(fate)"
        } else if let most = row.effective("x-max-length-bytes")?.int,
            row.count("ready_bytes").adding(bytes) > most
        {
            text =
                "\(name) holds at most \(Quantity.bytes(most)) and drops its oldest for more: "
                + "some would leave it \(fate)"
        } else {
            return nil
        }
    }
}
