import Foundation

/// Packet sockets in a network namespace: what a test sends and sees beside every wall.
public enum PacketPrograms {
  private static let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("Programs/frames.py").path

  /// The command that enters the network namespace of a process, with no other change.
  public static func enter(_ processID: Int32) -> [String] {
    ["nsenter", "--target", "\(processID)", "--net"]
  }

  /// The command that enters a cgroup and the network namespace of a process: its sockets are the instance's.
  public static func enter(_ processID: Int32, cgroup: String) -> [String] {
    ["bash", "-c", "echo $$ >\(cgroup)/cgroup.procs && exec \"$@\"", "-"] + enter(processID)
  }

  /// Counts what arrives on a link, with `enter` before its command; `arrived` says what.
  public static func capture(on link: String, enter: [String]) throws -> Conversation {
    let capture = try Conversation(enter + ["/usr/bin/python3", file, "capture", link])
    _ = try capture.nextLine()
    return capture
  }

  /// How many frames of each protocol a capture has seen.
  public static func arrived(_ capture: Conversation) throws -> [String: Int] {
    // What was sent is there once it is sent: veth has no delay. But the reader may be behind.
    usleep(200_000)
    return try JSONDecoder().decode([String: Int].self, from: Data(try capture.ask("").utf8))
  }

  /// Sends one frame of each kind that must not pass, and a SYN that must.
  public static func send(
    on link: String, from own: String, to destination: String, gateway: String, enter: [String]
  ) throws -> CommandResult {
    try run(enter + ["/usr/bin/python3", file, "send", link, own, destination, gateway])
  }

  /// Sends a segment of a connection from port 40000 to 3211 that was never opened.
  public static func sendAcknowledgement(
    on link: String, from own: String, to destination: String, gateway: String, enter: [String]
  ) throws -> CommandResult {
    try run(
      enter + ["/usr/bin/python3", file, "acknowledgement", link, own, destination, gateway])
  }

  /// Sends what would connect to the gateway, or pass for an answer to it: four frames.
  public static func sendToGateway(
    on link: String, from own: String, gateway: String, enter: [String]
  ) throws -> CommandResult {
    try run(enter + ["/usr/bin/python3", file, "gateway", link, own, gateway])
  }
}
