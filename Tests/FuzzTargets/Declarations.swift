import FoundationEssentials
import Model

/// What developers and platforms write.
extension FuzzTarget {
  /// warp.config.json, or what Node made of warp.config.js.
  static let declaration = FuzzTarget("declaration", tries: 4000, seeds: declarations) { bytes in
    let parsed = try? ServiceDeclaration.parse(
      json: Data(bytes), directoryName: "app", file: "warp.config.json")
    guard let declaration = parsed?.declaration else { return }
    precondition((try? ServiceName(declaration.name.rawValue)) == declaration.name)
    for rule in declaration.egress { precondition((try? EgressRule("\(rule)")) == rule) }
  }

  /// The hosts file that an engine wrote: ours are its last lines, whatever stands before; and what was made
  /// of it is changed in place.
  static let hostsFile = FuzzTarget(
    "hosts-file",
    seeds: [
      "127.0.0.1 localhost\n", "\(HostsFile.begin)\n198.18.1.1 app.warp\n\(HostsFile.end)\n",
      "a\r\n\(HostsFile.begin)", "\(HostsFile.begin)\n198.18.1.1 app.warp\n\(HostsFile.end)",
      "\(HostsFile.begin)\n! istbpf: end\n\(HostsFile.end)\n",
    ].map { Array($0.utf8) }
  ) { bytes in
    let entry = HostsFile.Entry(IPv4Address(0xc612_0201), "db.warp")
    let text = HostsFile.text(base: String(decoding: bytes, as: UTF8.self), entries: [entry])
    let ours = "\(HostsFile.begin)\n198.18.2.1 db.warp             \n\(HostsFile.end)\n"
    precondition(text.utf8.reversed().starts(with: ours.utf8.reversed()))
    var contents = bytes
    let change = HostsFile.change(bytes, to: [entry]) { _ in true }
    for write in change.writes {
      precondition(write.offset <= contents.count)
      contents.replaceSubrange(
        write.offset..<min(contents.count, write.offset + write.octets.count), with: write.octets)
    }
    for offset in change.outdated {
      contents.replaceSubrange(offset...offset, with: HostsFile.silenced)
    }
    precondition(HostsFile.change(contents, to: [entry]) { _ in true } == HostsFile.Change())
  }

  /// A rule of `deployment.egress`.
  static let egressRule = FuzzTarget(
    "egress-rule",
    seeds: [
      "203.0.113.0/24:443", "10.0.0.1:*", "0.0.0.0/0:1", "api.example.com:443", "ü.example:*",
    ].map { Array($0.utf8) }
  ) { bytes in
    guard let rule = try? EgressRule(String(decoding: bytes, as: UTF8.self)) else { return }
    precondition((try? EgressRule("\(rule)")) == rule)
  }

  private static let declarations = [
    #"{"container":"app","private":true,"deployment":{"port":8080,"egress":["203.0.113.0/24:443"]}}"#,
    #"{"docker":"db","image":"x","deployment":{"include":["a"],"prot":1}}"#, "{}",
  ].map { Array($0.utf8) }
}
