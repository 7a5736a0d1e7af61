// What libFuzzer calls; its runtime has the main function. Scripts/fuzz builds and runs it, and says by
// ISTBPF_FUZZ_TARGET what for, and by ISTBPF_FUZZ_CORPUS where its inputs are.
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

/// What libFuzzer calls before its first input: the target is chosen.
@_cdecl("LLVMFuzzerInitialize")
public func initialize(
  _ count: UnsafeMutableRawPointer?, _ arguments: UnsafeMutableRawPointer?
) -> Int32 {
  _ = target
  return 0
}

/// What libFuzzer calls for each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  target.run(Array(UnsafeBufferPointer(start: bytes, count: count)))
  return 0
}
