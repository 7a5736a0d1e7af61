import CLinux
import LinuxSystem
import Model
import SystemPackage

/// The link of a fabric on which frames are played again that its switch had held: a veth pair with
/// both ends in the fabric. What goes out of the near end comes in at the far one.
public struct ReplayLink: ~Copyable, Sendable {
  private static let nearName = "replay"
  private static let farName = "replayed"
  private static let nearHardwareAddress = HardwareAddress([0x02, 0x69, 0x73, 0x74, 0x00, 0x02])

  private let socket: OwnedDescriptor
  private let nearIfindex: Int32

  /// Plays a frame, from the Ethernet header on, that was addressed to the fabric; throws
  /// `SystemError`.
  public func play(_ frame: [UInt8]) throws {
    let sent = linux_packet_send(socket.rawValue, nearIfindex, frame, frame.count)
    guard sent == frame.count else { throw SystemError(.last, "play a frame on", Self.nearName) }
  }

  /// Sends a frame to the instance whose link has the number `ifindex`; throws `SystemError`.
  public func send(_ frame: [UInt8], to ifindex: Int32) throws {
    let sent = linux_packet_send(socket.rawValue, ifindex, frame, frame.count)
    guard sent == frame.count else { throw SystemError(.last, "send to link", "\(ifindex)") }
  }

  /// Makes the link of `fabric` if it is not there, and sets it up. The far end has the number `ifindex` and the near
  /// one the number behind it.
  ///
  /// `beforeUp` gets the far end's number before anything can come in there, on a thread inside the
  /// fabric. Throws `SystemError`.
  public static func make(
    in fabric: FabricNamespace, ifindex: Int32, beforeUp: (_ ifindex: Int32) throws -> Void
  ) throws {
    try fabric.open().perform {
      let netlink = try NetlinkSocket()
      if try !netlink.hasLink(ifindex) {
        try netlink.addPair(
          VethEnd(nearName, ifindex + 1, nearHardwareAddress),
          // The address that the switch's frames are for, so that they are the stack's.
          VethEnd(farName, ifindex, InstanceLink.fabricHardwareAddress))
      }
      try beforeUp(ifindex)
      try netlink.setUp(ifindex + 1, nearName)
      try netlink.setUp(ifindex, farName)
      try netlink.awaitOperation(of: ifindex + 1, nearName)
    }
  }

  /// The link of `fabric` that `make` made with the number `ifindex`. Throws `SystemError`.
  public init(of fabric: FabricNamespace, ifindex: Int32) throws {
    nearIfindex = ifindex + 1
    socket = try fabric.open().perform {
      let socket = linux_packet_socket()
      guard socket >= 0 else { throw SystemError(.last, "make a packet socket in", fabric.name) }
      return OwnedDescriptor(owning: socket)
    }
  }
}
