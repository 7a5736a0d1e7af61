import LinuxSystem
import SystemPackage

extension FabricNamespace {
  /// Deletes the link number `ifindex` with both its ends; not an error where it, or the whole
  /// fabric, is gone. Throws `SystemError`.
  public func detach(ifindex: Int32) throws { try detach(ifindex, "number \(ifindex)") }

  /// Deletes the link `name` with both its ends; not an error where it, or the whole fabric, is gone.
  public func detach(name: String) throws { try detach(0, name) }

  /// The links of the instances that are there, by number; throws `SystemError`, ENOENT where the
  /// fabric is gone.
  public func links() throws -> [FabricLink] {
    try open().perform { try NetlinkSocket().links() }
  }

  private func detach(_ ifindex: Int32, _ link: String) throws {
    guard exists else { return }
    do {
      try open().perform { try NetlinkSocket().deleteLink(ifindex, link) }
    } catch let error as SystemError
      where error.errno == .noDevice || error.errno == .noSuchFileOrDirectory
    {
      return
    }
  }
}
