import CLibnlRoute
import Glibc
import LinuxSystem
import SystemPackage

/// How much TCP may hand a link in one piece.
extension NetlinkSocket {
  /// Lets TCP hand the link `ifindex` up to `InstanceLink.largestSegment` bytes at once (BIG TCP).
  ///
  /// Linux >= 6.3 has it for IPv4. An older kernel skips attributes that it does not know, so that
  /// there the limit stays as it is, 64 KiB: nothing has to be asked before. libnl 3.7 has no setter.
  func allowLargeSegments(_ ifindex: Int32, _ name: String) throws {
    let message = try NetlinkObject(nlmsg_alloc_simple(Int32(RTM_NEWLINK), 0), nlmsg_free)
    var header = ifinfomsg()
    header.ifi_index = ifindex
    try append(name) {
      nlmsg_append(
        message.pointer, &header, MemoryLayout<ifinfomsg>.size, Int32(NLMSG_ALIGNTO))
    }
    try append(name) {
      nla_put_u32(message.pointer, Self.gsoIPv4MaxSize, InstanceLink.largestSegment)
    }
    try request("allow large segments on", name) { socket in
      let sent = nl_send_auto(socket, message.pointer)
      return sent < 0 ? sent : nl_wait_for_ack(socket)
    }
  }

  /// IFLA_GSO_IPV4_MAX_SIZE of linux/if_link.h, which is 6.1's on Debian 12 and lacks it.
  private static let gsoIPv4MaxSize: Int32 = 63

  private func append(_ name: String, _ body: () -> Int32) throws {
    guard body() >= 0 else { throw SystemError(.noMemory, "make a request for", name) }
  }
}
