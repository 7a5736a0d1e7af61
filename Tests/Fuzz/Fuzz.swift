// libFuzzer's program. Scripts/fuzz builds and runs it, and says by ISTBPF_FUZZ_TARGET what for, and by
// ISTBPF_FUZZ_CORPUS where its inputs are.
import Foundation
import FuzzTargets

private let target: FuzzTarget = {
  let environment = ProcessInfo.processInfo.environment
  let name = environment["ISTBPF_FUZZ_TARGET"] ?? ""
  guard let target = FuzzTarget.all.first(where: { $0.name == name }) else {
    print("there is no target '\(name)', but: \(FuzzTarget.all.map(\.name).joined(separator: " "))")
    exit(1)
  }
  for (number, seed) in target.seeds.enumerated() {
    guard let directory = environment["ISTBPF_FUZZ_CORPUS"] else { continue }
    try? Data(seed).write(to: URL(filePath: directory).appending(path: "seed-\(number)"))
  }
  return target
}()

/// libFuzzer's main function, without its name (FuzzerInterface.h).
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
  _ count: inout Int32,
  _ arguments: inout UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>,
  _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

@main
private struct Fuzz {
  static func main() {
    _ = target
    var (count, arguments) = (CommandLine.argc, CommandLine.unsafeArgv)
    let status = runDriver(&count, &arguments) { bytes, count in
      target.run(Array(UnsafeBufferPointer(start: bytes, count: count)))
      return 0
    }
    exit(status)
  }
}
