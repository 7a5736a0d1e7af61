import TestSupport

extension NamespaceLaboratory {
  /// Joins two namespaces by a veth, named `wire` in both, where they are 10.79.0.1 and 10.79.0.2; their loopback is up.
  func join(_ a: String, _ b: String) throws {
    try run(
      in: a, "ip", "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", b)
    for (name, host) in [(a, 1), (b, 2)] {
      try run(in: name, "ip", "address", "add", "10.79.0.\(host)/24", "dev", "wire")
      try run(in: name, "ip", "link", "set", "wire", "up")
      try run(in: name, "ip", "link", "set", "lo", "up")
    }
  }
}
