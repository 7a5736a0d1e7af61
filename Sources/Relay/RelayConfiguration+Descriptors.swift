/// What a relay may have with so many descriptors.
extension RelayConfiguration {
  /// The descriptors with which nothing has to be limited for want of them.
  public static let descriptorsWanted =
    descriptors(for: RelayConfiguration()) + descriptorsWantedOutside
  /// Those of them that are for connections to outside.
  public static let descriptorsWantedOutside = mostOutside * descriptorsPerConnectionOutside

  /// Connections to outside of all instances, where there are descriptors for so many.
  private static let mostOutside = 8192
  /// Of a connection to outside: two sockets, and while bytes wait a pipe for each direction.
  public static let descriptorsPerConnectionOutside = 6

  /// The process's own: programs, maps, the registry, namespaces, links.
  private static let descriptorsBesides = 512
  /// A tunnel's socket, its program's, and while bytes wait in the kernel a pipe.
  private static let descriptorsPerTunnel = 4

  private static func descriptors(for configuration: RelayConfiguration) -> Int {
    descriptorsBesides + configuration.maximumHalfOpen
      + configuration.maximumTunnels * descriptorsPerTunnel
  }

  /// Limits tunnels and handshakes to what `descriptors` are enough for, at least a few, so that it
  /// is connects which fail, each with its own error, and not whatever needs a descriptor next.
  public mutating func fit(descriptors: Int) {
    maximumHalfOpen = min(maximumHalfOpen, max(16, descriptors / 16))
    let left = descriptors - Self.descriptorsBesides - maximumHalfOpen
    maximumTunnels = min(maximumTunnels, max(16, left / Self.descriptorsPerTunnel))
  }
}
