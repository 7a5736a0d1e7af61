/// What a container must be like to become an instance.
enum ContainerChecks {
  /// Throws `ContainerRefusal` for a container that would share with the host what keeps deployments
  /// apart. Of the network namespace only the daemon can tell whether it is the host's in disguise; it
  /// looks when the container is attached.
  static func check(
    _ specification: JSONValue, _ arguments: RuntimeArguments, listenDescriptors: String?
  ) throws(ContainerRefusal) {
    guard specification["process"] != nil, let linux = specification["linux"] else {
      throw .notLinux
    }
    guard arguments.command != .restore else { throw .restored }
    // runc and crun pass on descriptors for LISTEN_FDS of their own environment as well.
    for number in [arguments.preservedDescriptors, listenDescriptors].compactMap(\.self)
    where !number.isEmpty && number != "0" {
      throw .preservedDescriptors(number)
    }
    let namespaces = linux["namespaces"]?.elements ?? []
    func namespace(_ type: String) -> JSONValue? {
      namespaces.first { $0["type"]?.string == type }
    }
    guard namespace("network") != nil else { throw .hostNetwork }
    guard let cgroup = namespace("cgroup") else { throw .cgroupNamespace(joined: false) }
    if let path = cgroup["path"]?.string, !path.isEmpty { throw .cgroupNamespace(joined: true) }
    guard !isPrivileged(specification, linux) else { throw .privileged }
  }

  /// Engines have no word for it in config.json; what they write for `--privileged` is a rule that
  /// allows every device, all capabilities, and nothing hidden in /proc and /sys.
  private static func isPrivileged(_ specification: JSONValue, _ linux: JSONValue) -> Bool {
    let rules = linux["resources"]?["devices"]?.elements ?? []
    if let last = rules.last(where: isForAllDevices), last["allow"]?.isTrue == true { return true }
    let bounding = specification["process"]?["capabilities"]?["bounding"]?.elements ?? []
    return bounding.contains { $0.string == "CAP_SYS_ADMIN" }
      && (linux["maskedPaths"]?.elements ?? []).isEmpty
      && (linux["readonlyPaths"]?.elements ?? []).isEmpty
  }

  private static func isForAllDevices(_ rule: JSONValue) -> Bool {
    let type = rule["type"]?.string ?? "a"
    return ["", "a"].contains(type) && rule["major"]?.unsigned == nil
      && rule["minor"]?.unsigned == nil
  }
}
