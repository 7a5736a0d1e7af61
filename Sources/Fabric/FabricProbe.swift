import CLibnlRoute
import LinuxSystem
import Model

/// Whether this kernel can have a fabric: by making one that has no name, with a link in it.
public enum FabricProbe {
  /// Makes a network namespace and a veth pair between it and another; both end with this call.
  ///
  /// Throws `SystemError` that names what the kernel refused: EOPNOTSUPP where it has no veth
  /// (CONFIG_VETH).
  public static func makeLink() throws {
    let outside = try NetworkNamespace.anonymous()
    let inside = try NetworkNamespace.anonymous()
    let link = InstanceLink(
      name: "probe", ifindex: 70_000, address: AddressPlan.standard.instanceAddress(1, 2))
    try outside.perform { try NetlinkSocket().addLink(link, into: inside) }
  }
}
