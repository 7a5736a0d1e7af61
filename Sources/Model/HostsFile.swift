/// The hosts file of an instance: its own, with `<service>.warp` for every service of the deployment.
public enum HostsFile {
  /// The line before ours.
  public static let begin = "# istbpf: services of this deployment"

  /// The line after ours.
  public static let end = "# istbpf: end"

  /// The text of the file.
  ///
  /// - Parameters:
  ///   - base: the file as it would be without IST; a part that an earlier call appended is dropped,
  ///     so the result of a call can be the base of the next.
  ///   - services: every service of the deployment.
  ///   - plan: the runner's range of addresses.
  /// - Returns: `base` with our part after it, ending in a line break.
  public static func text(base: String, services: [Service], plan: AddressPlan) -> String {
    var lines = base.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    if lines.last == "" { lines.removeLast() }
    // Without an end, someone edited the part; what follows its beginning may be theirs, so it stays.
    if let first = lines.firstIndex(of: begin), let last = lines[first...].firstIndex(of: end) {
      lines.removeSubrange(first...last)
    }
    lines.append(begin)
    for service in services.sorted(by: { $0.number < $1.number }) {
      lines.append("\(plan.serviceAddress(service.number)) \(service.name.hostName).warp")
    }
    lines.append(end)
    return lines.joined(separator: "\n") + "\n"
  }
}
