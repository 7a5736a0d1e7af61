import ArgumentParser
import ControlAPI
import Foundation
import Glibc

/// Connects the host with an instance.
struct Connect: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "connect",
    abstract: "Connect standard input and output, or a local port, with an instance of a service.",
    discussion: """
      For whoever may talk to istbpfd: health checks, psql, backups, ssh's ProxyCommand. The instance \
      is one of this runner's; without a port it is the service's own. The program in it sees \
      198.18.0.2, and istbpf observe shows the connection as one of istbpf connect. It outlives istbpfd. What the \
      instance resets is an error here, and a reset for a client of --listen.

      With --listen every connection to that port, on loopback, goes to an instance: of whoever can \
      connect to it, so mind who else is on this machine.
      """)

  @Argument(
    help: ArgumentHelp("DEPLOYMENT/SERVICE[:PORT].", valueName: "deployment/service[:port]"))
  var target: ConnectReference

  @OptionGroup var place: DeploymentOption

  @Option(
    help: ArgumentHelp(
      "Forward connections to this port of loopback; port 0 is a free one.",
      valueName: "127.0.0.1:port"))
  var listen: LoopbackAddress?

  @OptionGroup var options: InstallationOptions

  func validate() throws { _ = try target.service.reference(place) }

  func run() async throws {
    try failing {
      signal(SIGPIPE, SIG_IGN)
      let path = try options.chosen().connectSocketPath
      if let listen { return try forward(from: listen, over: path) }
      let (socket, _) = try open(path)
      try StandardStreams.join(with: socket)
    }
  }

  private func open(_ path: String) throws -> (socket: Int32, instance: String) {
    let service = try target.service.reference(place)
    return try InstanceConnection.open(path, service.deployment, service.service, port: target.port)
  }

  /// Takes connections until the process is ended.
  private func forward(from address: LoopbackAddress, over path: String) throws {
    let listener = try address.listen()
    printError("listening on \(try address.bound(listener))")
    while true {
      let client = accept(listener, nil, nil)
      guard client >= 0 else {
        guard errno == EINTR || errno == ECONNABORTED else { usleep(100_000); continue }
        continue
      }
      Thread.detachNewThread {
        do {
          let (socket, _) = try open(path)
          ForwardedConnection.forward(client, socket)
        } catch {
          printError("istbpf: \(error)")
          // The client must not take this for an answer that is empty.
          closeWithReset(client)
        }
      }
    }
  }
}

/// A service and perhaps a port on the command line: `D/S:PORT`.
struct ConnectReference: ExpressibleByArgument {
  let service: ServiceArgument
  /// 0 for the service's own.
  let port: Int

  init?(argument: String) {
    var name = argument[...]
    var port = 0
    if let colon = argument.lastIndex(of: ":") {
      guard let number = UInt16(argument[argument.index(after: colon)...]), number > 0 else {
        return nil
      }
      (name, port) = (argument[..<colon], Int(number))
    }
    guard let service = ServiceArgument(argument: String(name)) else { return nil }
    (self.service, self.port) = (service, port)
  }
}

/// An address of loopback with a port: nobody on another machine shall reach an instance by it.
struct LoopbackAddress: ExpressibleByArgument {
  let port: UInt16

  init?(argument: String) {
    let parts = argument.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, ["127.0.0.1", "localhost"].contains(parts[0]),
      let port = UInt16(parts[1])
    else { return nil }
    self.port = port
  }

  /// A socket that listens there.
  func listen() throws -> Int32 {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
    var one: Int32 = 1
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, 4)
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    name.sin_port = port.bigEndian
    let result = withUnsafePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard result == 0, Glibc.listen(listener, 128) == 0 else {
      throw Failure(
        description: "cannot listen on 127.0.0.1:\(port): \(String(cString: strerror(errno)))")
    }
    return listener
  }

  /// Where it listens indeed.
  func bound(_ listener: Int32) throws -> String {
    var name = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = withUnsafeMutablePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(listener, $0, &length) }
    }
    guard result == 0 else { throw Failure(description: String(cString: strerror(errno))) }
    return "127.0.0.1:\(UInt16(bigEndian: name.sin_port))"
  }

  /// Why it cannot be listened on.
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }
}
