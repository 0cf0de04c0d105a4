// A consumer gives a message that it holds other headers: what it has found out so far stays with the message, also
// over a crash. EDIT changes messages that wait.

extension BrokerCore {
    /// Changes the headers of a message that is held, and answers once that is durable.
    mutating func amend(_ amendment: Amendment, _ ticket: Ticket, _ session: Session, now: Instant) {
        if let refusal = refusal(of: amendment, session) {
            return answer(session, ticket, .refused(refusal))
        }
        let before = gathering.durableChanges
        perform(amendment, session)
        answerDurably(session, ticket, .done, since: before)
    }

    /// Why an amendment can't be carried out.
    func refusal(of amendment: Amendment, _ session: Session) -> BrokerError? {
        if let refusal = refusal(of: Settlement(.ack, amendment.tag), session) { return refusal }
        do throws(BrokerError) {
            try RetrySettings.check(amendment.headers)
            try checkContent(routingKey: nil, headers: amendment.headers, body: nil)
            return nil
        } catch {
            return error
        }
    }

    /// Carries an amendment out.
    mutating func perform(_ amendment: Amendment, _ session: Session) {
        let message = amendment.amended
        let tag = amendment.tag.rawValue
        _ = session.updateHeld(from: tag) { found, held in
            guard found == tag, !held.queue.isDeleted else { return false }
            messageBytes += message.footprint - held.entry.footprint
            held.entry.message = message
            held.entry.headerKiB = message.headerKiB
            held.entry.version = held.entry.version == .max ? .max : held.entry.version + 1
            if held.entry.batch != 0, held.entry.batch == gathering.batch.number {
                gathering.replaceContent(ofRow: Int(held.entry.row), with: message)
            } else if held.entry.storage != .memory {
                gathering.setContent(ContentUpdate(number: held.entry.number, message: message))
            }
            // Its version is written with its place, which stays as it is.
            keepPlace(of: held.entry, in: held.queue)
            return false
        }
    }
}
