/// Rules of a firewall, read far enough to find what drops a TCP port that is open to others.
///
/// Rules that look at more than protocol and port, such as addresses or interfaces, are passed over: they may be
/// meant. So what is found is there, and something may be missed.
enum FirewallRules {
  /// The rule of `iptables-save` that drops or refuses TCP to `port`; nil where there is none.
  static func iptablesObjection(_ rules: String, _ port: String) -> String? {
    var isDropping = false
    for line in rules.split(separator: "\n").map(String.init) {
      if line.hasPrefix(":INPUT DROP") { isDropping = true }
      let words = line.split(separator: " ").map(String.init)
      guard words.starts(with: ["-A", "INPUT"]), let jump = words.firstIndex(of: "-j"),
        jump + 1 < words.count
      else { continue }
      let target = words[jump + 1]
      // Options that it takes for a rule about the port alone.
      var isPlain = true
      var ports: String?
      var index = 2
      while index < jump {
        switch words[index] {
        case "-p": isPlain = isPlain && words[index + 1] == "tcp"; index += 2
        case "-m":
          isPlain = isPlain && ["tcp", "multiport", "comment"].contains(words[index + 1]);
          index += 2
        case "--dport", "--dports": ports = words[index + 1]; index += 2
        case "--comment": index += 2
        default: isPlain = false; index += 1
        }
      }
      guard isPlain, ports.map({ has($0, port, ":") }) ?? true else { continue }
      switch target {
      case "ACCEPT": return nil
      case "DROP", "REJECT": return line
      default: continue
      }
    }
    return isDropping ? "the policy of INPUT is DROP, and no rule accepts it" : nil
  }

  /// The rule of `nft list ruleset` that drops or refuses TCP to `port`; nil where there is none.
  static func nftObjection(_ rules: String, _ port: String) -> String? {
    var table = ""
    // The chain that is being read, if it hooks input, and whether it drops what no rule takes.
    var chain: (name: String, isDropping: Bool)?
    var isInput = false
    var isAccepted = false
    for line in rules.split(separator: "\n").map({ $0.split(separator: " ").joined(separator: " ") }
    ) {
      let line = line.replacingOccurrences(of: "\t", with: "")
      if line.hasPrefix("table ") {
        table = String(line.dropFirst(6).prefix { $0 != "{" }).trimmingSpaces
      }
      if line.hasPrefix("chain ") {
        chain = (String(line.dropFirst(6).prefix { $0 != "{" }).trimmingSpaces, false)
        (isInput, isAccepted) = (false, false)
      } else if line == "}" {
        if let chain, isInput, chain.isDropping, !isAccepted {
          return "the policy of the chain \(chain.name) of \(table) is drop, and no rule accepts it"
        }
        chain = nil
      } else if line.contains(" hook input ") {
        isInput = true
        chain?.isDropping = line.contains("policy drop")
      } else if isInput, let chain, !isAccepted {
        guard
          let verdict = line.split(separator: " ").first(where: {
            ["accept", "drop", "reject"].contains($0)
          })
        else { continue }
        let matches = line.prefix(
          line.range(of: " \(verdict)")?.lowerBound.utf16Offset(in: line) ?? 0)
        let isWhole = matches.isEmpty || matches.hasPrefix("counter ")
        let isOfPort =
          matches.hasPrefix("tcp dport ")
          && has(
            String(matches.dropFirst("tcp dport ".count)).split(separator: " counter").first.map(
              String.init) ?? "", port, "-")
        guard isWhole || isOfPort else { continue }
        if verdict == "accept" {
          isAccepted = true
        } else {
          return "\(line), in the chain \(chain.name) of \(table)"
        }
      }
    }
    return nil
  }

  /// Whether a port is among `80`, `80,443`, `{ 80, 443 }` or `1024-65535`.
  private static func has(_ ports: String, _ port: String, _ range: Character) -> Bool {
    guard let number = Int(port) else { return false }
    return ports.filter { $0 != "{" && $0 != "}" && $0 != " " }.split(separator: ",").contains {
      part in
      let ends = part.split(separator: range).compactMap { Int($0) }
      return ends.count == 2
        ? (ends[0]...max(ends[0], ends[1])).contains(number) : ends.first == number
    }
  }
}

extension String {
  fileprivate var trimmingSpaces: String { split(separator: " ").joined(separator: " ") }
}
