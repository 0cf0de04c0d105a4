// `leveret pause` and `resume`.

import ArgumentParser

struct PauseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause",
        abstract: "Stop handing out a queue's messages.",
        discussion: """
            Publishing to it goes on; consumers stay, and get nothing until `leveret resume`. A pause survives a \
            restart.

            Examples:
              leveret pause jobs
            """
    )

    @Argument(help: "The queue.", completion: .queues)
    var name: String
    @OptionGroup var server: TargetOptions

    func run() throws {
        try server.connect().ask(LineRequest("PAUSE").argument(name))
        announce("queue '\(name.printable)' is paused")
    }
}

struct ResumeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume",
        abstract: "Hand out the messages of a paused queue again.",
        discussion: """
            Examples:
              leveret resume jobs
            """
    )

    @Argument(help: "The queue.", completion: .queues)
    var name: String
    @OptionGroup var server: TargetOptions

    func run() throws {
        try server.connect().ask(LineRequest("RESUME").argument(name))
        announce("queue '\(name.printable)' goes on")
    }
}
