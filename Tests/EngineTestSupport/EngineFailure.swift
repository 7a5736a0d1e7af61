/// Why an engine, or what a test needs beside it, is not there.
package struct EngineFailure: Error, CustomStringConvertible {
  package let description: String
  package init(_ description: String) { self.description = description }
}
