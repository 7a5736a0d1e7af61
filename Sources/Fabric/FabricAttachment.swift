import CLibnlRoute
import LinuxSystem
import Model
import SystemPackage

extension FabricNamespace {
  /// Links an instance's network namespace to this fabric.
  ///
  /// `beforeUp` gets the number of the fabric's end while that is still down: what it attaches there
  /// sees the link's first packet. It runs on a thread inside the fabric's namespace, see
  /// `DedicatedThread.run`. Whatever fails or throws leaves neither link nor address nor route; the
  /// instance's loopback stays up.
  ///
  /// Both ends get the number of the link, by which the BPF programs know them.
  ///
  /// Throws `SystemError`: EEXIST where the fabric has a link of that name or number, or the instance
  /// an `ist0`; EBUSY where the instance has a link of that number; ENOENT where the fabric is gone.
  public func attach(
    _ link: InstanceLink, netns: NetworkNamespace,
    beforeUp: (_ ifindex: Int32) throws -> Void = { _ in }
  ) throws {
    try check(link)
    let fabric = try open()
    try DedicatedThread.run {
      // Both sockets at first: a socket belongs to the namespace where it is made, so that one
      // thread serves both without going to and fro.
      try netns.enter()
      let inside = try NetlinkSocket()
      try fabric.enter()
      let outside = try NetlinkSocket()
      try addLink(link, netns, outside: outside, inside: inside)
      do {
        try beforeUp(link.ifindex)
        try netns.enter()
        try Self.disableIPv6(InstanceLink.instanceEndName)
        try setUpInstance(link, inside)
        try setUpFabric(link, outside)
        try inside.awaitOperation(of: link.ifindex, InstanceLink.instanceEndName)
      } catch {
        // The other end goes with it, and the addresses, routes and neighbours of both. The error that
        // counts is the first; a link that stays passes nothing but what its switch allows.
        try? outside.deleteLink(link.ifindex, link.name)
        throw explain(error, link, netns)
      }
    }
  }

  /// Makes the link an instance's way to everything outside, or ends that; a link that is so already stays so. An
  /// instance with another link that is up has its way there, and gets none.
  ///
  /// Throws `SystemError`, ENODEV where the link is gone.
  public static func setWayOut(
    _ isWayOut: Bool, over link: InstanceLink, in netns: NetworkNamespace
  ) throws {
    let route = NetlinkSocket.Route(
      destination: IPv4Address(0), prefixLength: 0, ifindex: link.ifindex, scope: RT_SCOPE_UNIVERSE,
      gateway: InstanceLink.gateway, source: link.address, metric: InstanceLink.lastMetric)
    try netns.perform {
      let socket = try NetlinkSocket()
      guard isWayOut else { return try socket.removeRoute(route) }
      let others = try socket.links().filter { $0.ifindex != link.ifindex && $0.isUp }
      if others.isEmpty { try socket.addRoute(route) }
    }
  }

  /// The number that the instance's network namespace has in this fabric's (ip-netns(8), `list-id`), 0 or more, for
  /// as long as both live; nil where the link's other end is in no other one. Throws `SystemError`, ENODEV where
  /// there is no such link.
  public func namespaceID(behind link: InstanceLink) throws -> Int32? {
    try open().perform { try NetlinkSocket().peerNamespaceID(of: link.ifindex, link.name) }
  }

  private func check(_ link: InstanceLink) throws {
    let nameIsValid = (1...15).contains(link.name.utf8.count) && !link.name.contains("/")
    guard nameIsValid, link.ifindex > loopback, plan.contains(link.address) else {
      throw SystemError(
        .invalidArgument, "attach", "link \(link.name) (\(link.ifindex), \(link.address))",
        hint: "a name has 1 to 15 bytes, a number is over 1, an address lies in \(plan)")
    }
  }

  private func addLink(
    _ link: InstanceLink, _ netns: NetworkNamespace, outside: NetlinkSocket, inside: NetlinkSocket
  ) throws {
    do {
      try outside.addLink(link, into: netns)
    } catch let error as SystemError {
      throw explain(error, link, netns, hint: cause(of: error, link, netns, outside, inside))
    }
  }

  private func setUpInstance(_ link: InstanceLink, _ socket: NetlinkSocket) throws {
    let ifindex = link.ifindex
    try socket.setUp(loopback, "lo")
    // A new namespace copies the host's settings, which forwards where Docker is: it must not become a
    // router between a bridge and the fabric.
    try SmallFile.write("0", to: "/proc/sys/net/ipv4/ip_forward")
    try socket.allowLargeSegments(ifindex, InstanceLink.instanceEndName)
    try socket.addAddress(link.address, to: ifindex)
    // As long as the fabric's end is down it has no carrier, so nothing goes out yet.
    try socket.setUp(ifindex, InstanceLink.instanceEndName)
    let gateway = InstanceLink.gateway
    try socket.addNeighbour(gateway, at: InstanceLink.fabricHardwareAddress, on: ifindex)
    try socket.addRoute(.init(destination: gateway, ifindex: ifindex))
    try socket.addRoute(
      .init(
        destination: plan.base, prefixLength: Int32(AddressPlan.prefixLength), ifindex: ifindex,
        scope: RT_SCOPE_UNIVERSE, gateway: gateway, source: link.address))
  }

  private func setUpFabric(_ link: InstanceLink, _ socket: NetlinkSocket) throws {
    // What the relay sends goes out here; what an instance sends is redirected past it.
    try socket.allowLargeSegments(link.ifindex, link.name)
    // Neighbours of a link that is down would be forgotten, and a route over it refused.
    try socket.setUp(link.ifindex, link.name)
    try socket.addNeighbour(link.address, at: link.instanceHardwareAddress, on: link.ifindex)
    try socket.addRoute(.init(destination: link.address, ifindex: link.ifindex))
  }

  /// Why the kernel would not create the pair: EEXIST is for a name or a number in either namespace.
  private func cause(
    of error: SystemError, _ link: InstanceLink, _ netns: NetworkNamespace,
    _ outside: NetlinkSocket, _ inside: NetlinkSocket
  ) -> String? {
    if error.errno == .resourceBusy {
      return "\(netns.path) has a link with number \(link.ifindex) already"
    }
    guard error.errno == .fileExists else { return nil }
    // What cannot be asked only makes the hint less precise.
    if (try? outside.hasLink(link.ifindex)) == true {
      return "fabric \(name) has a link with number \(link.ifindex) already"
    }
    if (try? outside.ifindex(of: link.name)) != nil {
      return "fabric \(name) has a link of that name already"
    }
    return "\(netns.path) has an ist0 already: it belongs to one instance only"
  }

  /// The same error with the link, the namespaces and the likely cause; others' errors as they are.
  private func explain(
    _ error: any Error, _ link: InstanceLink, _ netns: NetworkNamespace, hint: String? = nil
  ) -> any Error {
    guard let error = error as? SystemError else { return error }
    let vanished = "a namespace or a link vanished meanwhile: has the instance ended?"
    return SystemError(
      error.errno, "\(error.operation) \(error.object): attach \(netns.path) as \(link.name) to",
      name, hint: hint ?? error.hint ?? (error.errno == .noDevice ? vanished : nil))
  }
}
