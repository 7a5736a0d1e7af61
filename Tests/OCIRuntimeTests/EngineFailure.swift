/// Why an engine, or what a test needs beside it, is not there.
struct EngineFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
