import ArgumentParser
import Glibc

/// The measuring program of Scripts/bench: one end of a TCP connection each, told nothing of IST.
@main
struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "istbpf-bench",
    abstract: "Measure TCP between two programs; Scripts/bench runs them.",
    subcommands: [Serve.self, Measure.self])
}

/// The end that answers.
struct Serve: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Answer measurements until killed.")

  @Argument(help: "The port, on every address.")
  var port: UInt16

  func run() throws {
    let server = try Server(port: port)
    print("ready")
    fflush(nil)
    server.run()
  }
}

/// The end that measures.
struct Measure: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Take measurements, one for each line of standard input.",
    discussion: """
      A line is 'bulk SECONDS BYTES STREAMS' (bytes a write, connections at once), \
      'round-trip SECONDS BYTES' (bytes each way), 'connect SECONDS [CONNECTIONS]' (so many at once), \
      'connect-time SECONDS', \
      'stay CONNECTIONS' (one after the other, all open until the last) or 'burst CONNECTIONS' (all at once). \
      The answer is one line of JSON.
      """)

  @Argument(help: "The server's IPv4 address.")
  var address: String

  @Argument(help: "The server's port.")
  var port: UInt16

  func run() throws {
    let client = try Client(address: address, port: port)
    while let line = readLine() {
      guard let order = Order(line) else { throw ValidationError("'\(line)' is no measurement") }
      print(try client.measure(order).json)
      fflush(nil)
    }
  }
}
