// The settings that a queue is declared with or gets from a policy, as options: the same for both.

import ArgumentParser

/// `--ttl`, `--max-length`, and all else that a policy may set as well.
struct QueueOptions: ParsableArguments {
    @Option(parsing: .unconditional, help: ArgumentHelp("Messages expire after so long.", valueName: "ms"))
    var ttl: Int?
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("The queue is deleted after so long without use.", valueName: "ms"))
    var expires: Int?
    @Option(parsing: .unconditional, help: ArgumentHelp("The same, when it is empty.", valueName: "ms"))
    var expiresIfEmpty: Int?
    @Option(
        parsing: .unconditional, help: ArgumentHelp("At most so many messages are ready.", valueName: "n"))
    var maxLength: Int?
    @Option(parsing: .unconditional, help: ArgumentHelp("At most so many bytes are ready.", valueName: "n"))
    var maxBytes: Int?
    @Option(
        help: ArgumentHelp(
            "What a full queue does: drop-head, reject-publish or reject-publish-dlx.",
            valueName: "word"
        ),
        completion: .list(["drop-head", "reject-publish", "reject-publish-dlx"])
    )
    var overflow: String?
    @Option(
        help: ArgumentHelp("Where dead letters go; \"\" is the default exchange.", valueName: "exchange"),
        completion: .exchanges)
    var deadLetterExchange: String?
    @Option(help: ArgumentHelp("The key they go with, else their own.", valueName: "key"))
    var deadLetterKey: String?
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("A message that failed more often is a dead letter.", valueName: "n"))
    var deliveryLimit: Int?
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("So long a consumer may hold a message unsettled.", valueName: "ms"))
    var consumerTimeout: Int?
    @Option(help: ArgumentHelp("Drop messages whose id was seen.", valueName: "ms|while-queued"))
    var deduplicate: String?
    @Option(
        help: ArgumentHelp(
            "Which messages wait when they come back: disabled, all, failed or returned.",
            valueName: "word"
        ),
        completion: .list(["disabled", "all", "failed", "returned"])
    )
    var delayedRetryType: String?
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("So long they wait after the first failure.", valueName: "ms"))
    var delayedRetryMin: Int?
    @Option(parsing: .unconditional, help: ArgumentHelp("So long they wait at most.", valueName: "ms"))
    var delayedRetryMax: Int?
    @Option(
        help: ArgumentHelp("How the wait grows: linear or exponential.", valueName: "word"),
        completion: .list(["linear", "exponential"]))
    var delayedRetryBackoff: String?
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("By how much of it chance may shorten a wait.", valueName: "percent"))
    var delayedRetryJitter: Int?

    /// Adds what is given to a QUEUE or POLICY.
    func add(to request: LineRequest) -> LineRequest {
        request.option("ttl", ttl).option("expires", expires).option("expires-if-empty", expiresIfEmpty)
            .option("max-length", maxLength).option("max-bytes", maxBytes).option("overflow", overflow)
            .option("dead-letter-exchange", deadLetterExchange).option("dead-letter-key", deadLetterKey)
            .option("delivery-limit", deliveryLimit).option("consumer-timeout", consumerTimeout)
            .option("deduplicate", deduplicate).option("delayed-retry-type", delayedRetryType)
            .option("delayed-retry-min", delayedRetryMin).option("delayed-retry-max", delayedRetryMax)
            .option("delayed-retry-backoff", delayedRetryBackoff)
            .option("delayed-retry-jitter", delayedRetryJitter)
    }
}
