/// What a container must be like to become an instance, as far as its configuration tells.
///
/// These are for an early and clear word. A configuration can name a namespace by any path and a file by
/// any link, so what the kernel made of it is looked at when the container is attached: by the daemon
/// (Sources/Runner/ContainerNamespaces.swift) and by the hook (ContainerMounts.swift).
enum ContainerChecks {
  /// Throws `ContainerRefusal` for a container that would share with the host what keeps deployments
  /// apart.
  static func check(
    _ specification: JSONValue, _ arguments: RuntimeArguments, listenDescriptors: String?
  ) throws(ContainerRefusal) {
    guard specification["process"] != nil, let linux = specification["linux"] else {
      throw .notLinux
    }
    guard arguments.command != .restore else { throw .restored }
    try checkDescriptors(arguments.preservedDescriptors, listenDescriptors)
    let namespaces = linux["namespaces"]?.elements ?? []
    func namespace(_ type: String) -> JSONValue? {
      namespaces.first { $0["type"]?.string == type }
    }
    guard namespace("network") != nil else { throw .hostNetwork }
    guard !isPrivileged(specification, linux) else { throw .privileged }
    guard namespace("pid") != nil else { throw .hostProcesses }
    guard namespace("ipc") != nil else { throw .hostIPC }
    guard let mount = namespace("mount"), mount["path"]?.string ?? "" == "" else {
      throw .hostMounts
    }
    // One that has none gets its own.
    if let path = namespace("cgroup")?["path"]?.string, !path.isEmpty {
      throw .joinedCgroupNamespace
    }
    try DeviceRules.check(linux)
    try checkKernelParameters(linux)
  }

  /// runc and crun pass on descriptors for LISTEN_FDS of their own environment as well.
  static func checkDescriptors(
    _ preserved: String?, _ listening: String?
  ) throws(ContainerRefusal) {
    for number in [preserved, listening].compactMap(\.self)
    where !number.isEmpty && number != "0" {
      throw .preservedDescriptors(number)
    }
  }

  /// Engines have no word for it in config.json; what they write for `--privileged` is a rule that
  /// allows every device, all capabilities, and nothing hidden in /proc and /sys.
  private static func isPrivileged(_ specification: JSONValue, _ linux: JSONValue) -> Bool {
    let rules = linux["resources"]?["devices"]?.elements ?? []
    if let last = rules.last(where: DeviceRules.isForAll), last["allow"]?.isTrue == true {
      return true
    }
    let bounding = specification["process"]?["capabilities"]?["bounding"]?.elements ?? []
    return bounding.contains { $0.string == "CAP_SYS_ADMIN" }
      && (linux["maskedPaths"]?.elements ?? []).isEmpty
      && (linux["readonlyPaths"]?.elements ?? []).isEmpty
  }

  /// Of `net.ipv4.conf.LINK.NAME`, `net.ipv6.conf.LINK.NAME` and `net.ipv4.NAME`: what would make the
  /// container a router, or have it take packets from its links as from itself.
  private static let routing: Set<String> = [
    "ip_forward", "forwarding", "mc_forwarding", "accept_local", "route_localnet", "proxy_arp",
    "proxy_ndp",
  ]

  private static func checkKernelParameters(_ linux: JSONValue) throws(ContainerRefusal) {
    for parameter in linux["sysctl"]?.members ?? [] {
      let parts = parameter.name.split { $0 == "." || $0 == "/" }
      guard parts.first == "net", let last = parts.last, routing.contains(String(last)),
        parameter.value.string != "0"
      else { continue }
      throw .routing(parameter.name)
    }
  }
}
