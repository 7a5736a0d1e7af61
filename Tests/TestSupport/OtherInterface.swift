import Testing

extension RunnerLaboratory {
  /// Gives an instance an eth0, as a container engine's bridge would, with a default route over it;
  /// returns the name of the namespace at its other end, which is 10.9.9.1.
  public func addInterface(to instance: TestInstance) throws -> String {
    let (world, _) = try laboratory.namespace()
    let inside = PacketPrograms.enter(instance.processID)
    for command in [
      ["ip", "-n", world, "link", "add", "world0", "type", "veth", "peer", "name", "eth0", "netns"]
        + ["\(instance.processID)"],
      ["ip", "-n", world, "addr", "add", "10.9.9.1/24", "dev", "world0"],
      ["ip", "-n", world, "link", "set", "world0", "up"],
      inside + ["ip", "addr", "add", "10.9.9.2/24", "dev", "eth0"],
      inside + ["ip", "link", "set", "eth0", "up"],
      inside + ["ip", "route", "add", "default", "via", "10.9.9.1"],
    ] {
      let result = try run(command)
      #expect(result.status == 0, "\(command): \(result.errors)")
    }
    return world
  }
}
