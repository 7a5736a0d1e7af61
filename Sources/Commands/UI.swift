import ArgumentParser
import Foundation
import Glibc
import WebInterface

/// Serves a page that shows who talks to whom.
struct UI: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ui",
    abstract: "Show who talks to whom in a browser, live.",
    discussion: """
      Serves a page on loopback and prints its address, with a token in it: whoever has the address sees what the \
      one who started this may ask istbpfd. It runs until it is ended, and asks istbpfd nothing while no page is \
      open. From another machine: ssh -L 8080:127.0.0.1:8080 RUNNER, with --port 8080 here, and open the address \
      there.
      """)

  @Option(help: "The port, on 127.0.0.1; 0 is a free one.")
  var port = 0

  @OptionGroup var options: InstallationOptions

  func validate() throws {
    guard (0...65535).contains(port) else {
      throw ValidationError("\(port) is no port: 1 to 65535, or 0 for a free one")
    }
  }

  func run() async throws {
    try await failing {
      let server = WebServer(
        controlSocketPath: try options.chosen().controlSocketPath, port: port, token: PageToken())
      do {
        try await server.run { address in
          print(address)
          fflush(nil)
        }
      } catch {
        throw PortProblem(port: port, problem: "\(error)")
      }
    }
  }

  private struct PortProblem: Error, CustomStringConvertible {
    let port: Int
    let problem: String

    var description: String {
      "cannot serve the page on port \(port) of 127.0.0.1: does another program have it? (\(problem))"
    }
  }
}
