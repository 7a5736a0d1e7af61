import Foundation
import LinuxSystem

/// A program that was run to its end, and what it printed.
struct CapturedCommand {
  /// Its exit status; 124 where it took too long, 127 where there is no such program.
  let status: Int32
  let output: String
  let errors: String
  /// Seconds.
  let duration: Double

  /// What a program may print, in bytes; the rest is left out.
  private static let limit = 16 << 20

  /// Runs it, for so many seconds at most.
  init(_ arguments: [String], seconds: Int = 20) {
    let begin = ContinuousClock.now
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["timeout", "\(seconds)"] + arguments
    process.standardInput = FileHandle.nullDevice
    let (output, errors) = (Pipe(), Pipe())
    (process.standardOutput, process.standardError) = (output, errors)
    var status: Int32 = 127
    var texts = (output: Data(), errors: Data())
    do {
      try process.run()
      // Side by side, since it waits for whichever is full.
      let reader = DispatchQueue(label: "errors")
      let group = DispatchGroup()
      // Unsafe only in name: one block of the queue sets it, and it is read after that has ended.
      nonisolated(unsafe) var said = Data()
      let handle = errors.fileHandleForReading
      reader.async(group: group) { said = (try? handle.readToEnd()) ?? Data() }
      texts.output = (try? output.fileHandleForReading.readToEnd()) ?? Data()
      group.wait()
      texts.errors = said
      process.waitUntilExit()
      status = process.terminationStatus
    } catch { texts.errors = Data("\(error)".utf8) }
    self.status = status
    self.output = String(decoding: texts.output.prefix(Self.limit), as: UTF8.self)
    self.errors = String(decoding: texts.errors.prefix(Self.limit), as: UTF8.self)
    let elapsed = (ContinuousClock.now - begin).components
    duration = Double(elapsed.seconds) + Double(elapsed.attoseconds) / 1e18
  }
}
