import Fabric
import Glibc
import LinuxSystem
import Model

/// A port of this machine at which a program of an engine's listens for a container (`-p 8080:80`).
///
/// Engines tell a runtime nothing of it. What can be seen is the socket: Docker's docker-proxy says on its command
/// line where it sends what comes, and podman's conmon holds the socket for its container. Where only a packet
/// filter publishes (Docker without docker-proxy, the hostPort of a pod), nothing listens, and nothing is found.
struct PublishedPort {
  /// Where it leads.
  enum Target {
    /// An address of the container on the engine's network, and the port there.
    case address(IPv4Address, port: PortNumber)
    /// The network namespaces of the containers that a program looks after.
    case namespaces(Set<ProcessNamespaces.Identity>)
  }

  /// The socket.
  let listener: TCPListener
  /// The program that has it: `docker-proxy` or `conmon`.
  let program: String
  let target: Target

  /// All there are in the calling thread's network namespace, as far as they can be seen; throws
  /// `SystemError`.
  static func all() throws -> [PublishedPort] {
    let listeners = try TCPListener.list(in: try .current())
    let owners = SocketOwners.find(
      of: Set(listeners.map(\.inode)), among: try ProcessNamespaces.allProcesses())
    return listeners.flatMap { listener in
      (owners[listener.inode] ?? []).compactMap {
        PublishedPort(listener, of: $0.process)
      }
    }
  }

  /// Nil where the process is no engine's that does this.
  private init?(_ listener: TCPListener, of process: pid_t) {
    guard let bytes = try? SmallFile.bytes(of: "/proc/\(process)/cmdline") else { return nil }
    let words = bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    program = words.first?.split(separator: "/").last.map(String.init) ?? ""
    self.listener = listener
    switch program {
    case "docker-proxy":
      func value(_ option: String) -> String? {
        words.firstIndex(of: option).flatMap { $0 + 1 < words.count ? words[$0 + 1] : nil }
      }
      guard let address = value("-container-ip").flatMap({ IPv4Address($0) }),
        let port = value("-container-port").flatMap({ try? PortNumber($0) })
      else { return nil }
      target = .address(address, port: port)
    case "conmon":
      target = .namespaces(
        Set(
          Self.descendants(of: process).compactMap {
            // None where it has ended meanwhile.
            try? ProcessNamespaces.identity(.network, of: $0)
          }))
    default: return nil
    }
  }

  /// Its children and theirs: while a container is made, its first process is the runtime's child.
  private static func descendants(of process: pid_t) -> [pid_t] {
    let threads = (try? DirectoryListing.names(in: "/proc/\(process)/task")) ?? []
    return threads.flatMap { thread in
      ((try? SmallFile.read("/proc/\(process)/task/\(thread)/children")) ?? "")
        .split(separator: " ").compactMap { pid_t($0) }.flatMap { [$0] + descendants(of: $0) }
    }
  }
}
