// The fuzzer's program: `Fuzz TARGET [libFuzzer's options and folders]`. FuzzTesting/run builds it with
// coverage and links libFuzzer, whose driver this calls; what is checked stands in FuzzChecks.

private import FuzzChecks

/// libFuzzer's own entry, for programs that have a `main` of their own.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ argumentCount: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

@main
enum Fuzz {
    static func main() {
        let name = CommandLine.arguments.dropFirst().first ?? ""
        guard let target = FuzzTarget(rawValue: name) else {
            let known = FuzzTarget.allCases.map(\.rawValue).joined(separator: ", ")
            return print("'\(name)' is no target; known are \(known)")
        }
        // Without the target's name, the rest is as libFuzzer wants it.
        var count = CommandLine.argc - 1
        var arguments = CommandLine.unsafeArgv + 1
        switch target {
        case .line: _ = runDriver(&count, &arguments) { run(.line, $0, $1) }
        case .table: _ = runDriver(&count, &arguments) { run(.table, $0, $1) }
        case .properties: _ = runDriver(&count, &arguments) { run(.properties, $0, $1) }
        case .json: _ = runDriver(&count, &arguments) { run(.json, $0, $1) }
        case .topic: _ = runDriver(&count, &arguments) { run(.topic, $0, $1) }
        }
    }
}

/// One input; a broken promise ends the process, which libFuzzer keeps the input of.
private func run(_ target: FuzzTarget, _ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    if let fault = target.fault(in: Array(UnsafeBufferPointer(start: start, count: count))) {
        print("broken:", fault)
        preconditionFailure(fault)
    }
    return 0
}
