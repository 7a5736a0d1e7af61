import LinuxSystem

/// Which devices a container of a service may open: `linux.devices` and `linux.resources.devices`.
///
/// A device is a part of the machine that no hook of a socket watches: a disk has the host's files on it,
/// vhost-vsock and InfiniBand have a network of their own. So those pass that are known to be harmless.
enum DeviceRules {
  /// Throws `ContainerRefusal.device` for the first that is not known to be harmless.
  static func check(_ linux: JSONValue) throws(ContainerRefusal) {
    let nodes = linux["devices"]?.elements ?? []
    for node in nodes where !isHarmless(node) {
      throw .device(node["path"]?.string ?? describe(node))
    }
    // What stands before a rule that forbids everything is nothing any more.
    let rules = linux["resources"]?["devices"]?.elements ?? []
    let first = rules.lastIndex(where: deniesAll) ?? rules.startIndex
    for rule in rules[first...] where rule["allow"]?.isTrue == true && !isHarmless(rule) {
      throw .device(
        nodes.first { isSame($0, rule) }?["path"]?.string ?? describe(rule))
    }
  }

  /// Forbids every device that no rule allows, where nothing does: a runtime without a rule may have no filter at
  /// all (crun), and then mknod(2) makes a disk.
  static func addDenial(to specification: inout JSONValue) {
    var resources = specification["linux"]?["resources"] ?? .object([])
    let rules = resources["devices"]?.elements ?? []
    guard !rules.contains(where: deniesAll) else { return }
    let denial = JSONValue.with([
      "allow": .scalar(Array("false".utf8)), "access": .string("rwm"),
    ])
    resources["devices"] = .array([denial] + rules)
    specification["linux"]?["resources"] = resources
  }

  private static func deniesAll(_ rule: JSONValue) -> Bool {
    let access = rule["access"]?.string ?? ""
    return isForAll(rule) && rule["allow"]?.isTrue != true
      && (access.isEmpty || "rwm".allSatisfy(access.contains))
  }

  /// Whether a rule is for every device.
  static func isForAll(_ rule: JSONValue) -> Bool {
    let type = rule["type"]?.string ?? "a"
    return ["", "a"].contains(type) && number(rule["major"]) == nil && number(rule["minor"]) == nil
  }

  /// Character devices that every container has (mem(4), tty, ptmx, pts), and of the others: hwrng, tun
  /// (which makes no link without NET_ADMIN), fuse and kvm; sound, video and graphics, whatever the minor
  /// number.
  private static let minors: [UInt64: Set<UInt64>] = [
    1: [3, 5, 7, 8, 9], 5: [0, 1, 2], 10: [183, 200, 229, 232],
  ]
  private static let majors: Set<UInt64> = [81, 116, 136, 195, 226]
  /// Names of drivers in /proc/devices whose major number the kernel chooses.
  private static let drivers = ["kfd", "nvidia"]

  private static func isHarmless(_ device: JSONValue) -> Bool {
    // mknod alone opens nothing.
    if let access = device["access"]?.string, access == "m" { return true }
    guard ["c", "u"].contains(device["type"]?.string ?? ""), let major = number(device["major"])
    else { return device["type"]?.string == "p" }
    if majors.contains(major) { return true }
    if let minor = number(device["minor"]), minors[major]?.contains(minor) == true { return true }
    guard let driver = driver(of: major) else { return false }
    return drivers.contains { driver.hasPrefix($0) }
  }

  private static func driver(of major: UInt64) -> String? {
    let text = (try? SmallFile.read("/proc/devices")) ?? ""
    let characters = text.components(before: "Block devices:")
    for line in characters.split(separator: "\n") {
      let words = line.split(separator: " ")
      if words.count == 2, UInt64(words[0]) == major { return String(words[1]) }
    }
    return nil
  }

  /// crun and runc take -1 for every number, as well as none.
  private static func number(_ value: JSONValue?) -> UInt64? { value?.unsigned }

  private static func isSame(_ node: JSONValue, _ rule: JSONValue) -> Bool {
    node["type"] == rule["type"] && node["major"] == rule["major"] && node["minor"] == rule["minor"]
  }

  private static func describe(_ device: JSONValue) -> String {
    let (type, major, minor) = (device["type"]?.string ?? "a", device["major"], device["minor"])
    func text(_ value: JSONValue?) -> String { number(value).map { "\($0)" } ?? "*" }
    return "\(type.isEmpty ? "a" : type) \(text(major)):\(text(minor))"
  }
}

extension String {
  /// What stands before `end`; all where that is not there.
  fileprivate func components(before end: String) -> Substring {
    guard let range = firstRange(of: end) else { return self[...] }
    return self[..<range.lowerBound]
  }
}
