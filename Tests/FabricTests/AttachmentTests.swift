import Fabric
import Foundation
import LinuxSystem
import Model
import TestSupport
import Testing

@Suite("Attaching instances")
struct AttachmentTests {
  let app = InstanceLink(name: "app.2", ifindex: 70_002, address: IPv4Address(0xc612_0102))

  /// The links that `ip` sees in the namespace `name`.
  private func links(in name: String, _ laboratory: NamespaceLaboratory) throws -> [[String: Any]] {
    let text = try laboratory.run(in: name, "ip", "-json", "-details", "address").output
    return try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: Any]] ?? []
  }

  @Test("Both ends have the number, name, MTU and hardware address that they should, and are up")
  func ends() throws {
    try NamespaceLaboratory.with { laboratory in
      let fabric = try laboratory.fabric()
      let (name, netns) = try laboratory.namespace()
      try fabric.attach(app, netns: netns)
      let ends = [
        (fabric.name, "app.2", "02:69:73:74:00:01"), (name, "ist0", "02:69:c6:12:01:02"),
      ]
      for (namespace, link, hardwareAddress) in ends {
        let end = try #require(
          links(in: namespace, laboratory).first { $0["ifname"] as? String == link })
        #expect(end["ifindex"] as? Int == 70_002)
        #expect(end["mtu"] as? Int == 65535)
        #expect(end["address"] as? String == hardwareAddress)
        let flags = try #require(end["flags"] as? [String])
        #expect(flags.contains("UP") && flags.contains("LOWER_UP") && !flags.contains("NOARP"))
      }
      let lo = try #require(links(in: name, laboratory).first { $0["ifname"] as? String == "lo" })
      #expect((lo["flags"] as? [String])?.contains("UP") == true)
    }
  }

  @Test("Routes and permanent neighbours lead both ways")
  func routes() throws {
    try NamespaceLaboratory.with { laboratory in
      let fabric = try laboratory.fabric()
      let (name, netns) = try laboratory.namespace()
      try fabric.attach(app, netns: netns)
      let outside = try laboratory.run(in: fabric.name, "ip", "route", "get", "198.18.1.2").output
      #expect(outside.hasPrefix("198.18.1.2 dev app.2"), "\(outside)")
      let here = try laboratory.run(in: fabric.name, "ip", "neigh", "show", "dev", "app.2").output
      #expect(here.contains("198.18.1.2 lladdr 02:69:c6:12:01:02 PERMANENT"))
      let inside = try laboratory.run(in: name, "ip", "route").output
      #expect(inside.contains("169.254.1.1 dev ist0 proto static scope link"), "\(inside)")
      #expect(
        inside.contains(
          "198.18.0.0/15 via 169.254.1.1 dev ist0 proto static src 198.18.1.2 onlink"),
        "\(inside)")
      let there = try laboratory.run(in: name, "ip", "neigh", "show", "dev", "ist0").output
      #expect(there.contains("169.254.1.1 lladdr 02:69:73:74:00:01 PERMANENT"))
      let address = try laboratory.run(in: name, "ip", "address", "show", "dev", "ist0").output
      #expect(address.contains("inet 198.18.1.2/32 scope global ist0"))
      #expect(!address.contains("inet6"))
    }
  }

  @Test("The caller sees the fabric's end while it is down, from inside the fabric")
  func beforeUp() throws {
    try NamespaceLaboratory.with { laboratory in
      let fabric = try laboratory.fabric()
      let (_, netns) = try laboratory.namespace()
      var seen: Int32?
      var inside: NetworkNamespace.Identity?
      var flags: String?
      try fabric.attach(app, netns: netns) { ifindex in
        seen = ifindex
        inside = try NetworkNamespace.current().identity
        flags = try fabric.links().map { "\($0.name) \($0.isUp)" }.joined()
      }
      #expect(seen == 70_002)
      #expect(try inside == fabric.open().identity)
      #expect(flags == "app.2 false")
      #expect(try fabric.links().map(\.isUp) == [true])
    }
  }

  @Test("A number that is taken in the instance's namespace is refused, and nothing remains")
  func takenNumberInside() throws {
    try NamespaceLaboratory.with { laboratory in
      let fabric = try laboratory.fabric()
      let (name, netns) = try laboratory.namespace()
      let added = try laboratory.run(
        in: name, "ip", "link", "add", "eth0", "index", "70007", "type", "veth")
      #expect(added.status == 0, "\(added.errors)")
      let link = InstanceLink(name: "app.2", ifindex: 70_007, address: IPv4Address(0xc612_0102))
      let error = #expect(throws: SystemError.self) { try fabric.attach(link, netns: netns) }
      #expect(error?.description.contains("has a link with number 70007 already") == true)
      #expect(try fabric.links().isEmpty)
    }
  }

  @Test("Detaching by number or name deletes both ends, and again is no error")
  func detach() throws {
    try NamespaceLaboratory.with { laboratory in
      let fabric = try laboratory.fabric()
      let (name, netns) = try laboratory.namespace()
      for byName in [false, true] {
        try fabric.attach(app, netns: netns)
        for _ in 0..<2 {
          try byName ? fabric.detach(name: "app.2") : fabric.detach(ifindex: 70_002)
        }
        #expect(try fabric.links().isEmpty)
        #expect(try links(in: name, laboratory).compactMap { $0["ifname"] as? String } == ["lo"])
      }
      try fabric.delete()
      try fabric.detach(name: "app.2")
    }
  }

  @Test("The end of the instance's namespace ends its link")
  func instanceEnds() async throws {
    try await NamespaceLaboratory.with { laboratory in
      let fabric = try laboratory.fabric()
      do {
        let netns = try NetworkNamespace.anonymous()
        try fabric.attach(app, netns: netns)
        #expect(try fabric.links().count == 1)
      }
      // The kernel takes namespaces down in a worker of its own.
      for _ in 0..<200 where try !fabric.links().isEmpty {
        try await Task.sleep(for: .milliseconds(10))
      }
      #expect(try fabric.links().isEmpty)
    }
  }
}
