import TestSupport
import Testing

/// Writes a program. A child does it: while this process had the file open for writing, a process that
/// another test starts at that moment could keep it so, and the program could not be executed
/// (ETXTBSY).
package func writeProgram(_ text: String, to path: String) throws {
  let result = try run(
    "sh", "-c", #"printf %s "$1" >"$2" && chmod 755 "$2""#, "sh", text, path)
  #expect(result.status == 0, "\(result.errors)")
}
