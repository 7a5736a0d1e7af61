import Fabric
import LinuxSystem
import Model
import TestSupport
import Testing

@Suite("Fabric namespace")
struct FabricNamespaceTests {
  @Test(
    "A fabric has its range as a local route in table main, a loopback that is up, and no forwarding"
  )
  func setUp() throws {
    try NamespaceLaboratory.with { laboratory in
      let fabric = try laboratory.fabric()
      #expect(try NetworkNamespace.names().contains(fabric.name))
      let main = try laboratory.run(
        in: fabric.name, "ip", "route", "show", "table", "main", "type", "local")
      #expect(main.output.contains("local 198.18.0.0/15 dev lo"))
      let local = try laboratory.run(in: fabric.name, "ip", "route", "show", "table", "local")
      #expect(!local.output.contains("198.18"))
      let lo = try laboratory.run(in: fabric.name, "ip", "link", "show", "lo")
      #expect(lo.output.contains("LOOPBACK,UP"))
      for (key, value) in [
        ("ip_forward", "0"), ("conf/all/rp_filter", "0"), ("conf/default/rp_filter", "0"),
      ] {
        let file = "/proc/sys/net/ipv4/\(key)"
        #expect(try fabric.open().perform { try SmallFile.read(file) } == "\(value)\n")
      }
    }
  }

  @Test("Creating a fabric that is there adopts it with its links, and sets right what was changed")
  func adopt() throws {
    try NamespaceLaboratory.with { laboratory in
      let fabric = try laboratory.fabric()
      let (_, netns) = try laboratory.namespace()
      let link = InstanceLink(name: "app.2", ifindex: 70_001, address: IPv4Address(0xc612_0102))
      try fabric.attach(link, netns: netns)
      let identity = try fabric.open().identity
      try laboratory.run(
        in: fabric.name, "ip", "route", "del", "local", "198.18.0.0/15", "table", "main")
      try laboratory.run(in: fabric.name, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
      try fabric.create()
      #expect(try fabric.open().identity == identity)
      #expect(
        try fabric.links() == [FabricLink(name: "app.2", ifindex: 70_001, mtu: 65535, isUp: true)])
      let routes = try laboratory.run(
        in: fabric.name, "ip", "route", "show", "table", "main", "type", "local")
      #expect(routes.output.contains("198.18.0.0/15"))
      #expect(
        try fabric.open().perform { try SmallFile.read("/proc/sys/net/ipv4/ip_forward") } == "0\n")
    }
  }

  @Test("Another program's namespace is no fabric, whatever its name, and is not taken over")
  func foreign() throws {
    try NamespaceLaboratory.with { laboratory in
      let fabric = try laboratory.fabric()
      #expect(try fabric.isFabric())
      let (name, _) = try laboratory.namespace()
      try laboratory.run(in: name, "ip", "link", "add", "dummy", "type", "veth")
      let foreign = FabricNamespace(name: name, plan: .standard)
      #expect(try !foreign.isFabric())
      #expect(throws: SystemError.self) { try foreign.create() }
      #expect(try foreign.links().count == 2)
      try fabric.delete()
      #expect(try !fabric.isFabric())
    }
  }

  @Test("A deleted fabric is gone, is not listed, and may be deleted again")
  func delete() throws {
    try NamespaceLaboratory.with { laboratory in
      let fabric = try laboratory.fabric()
      try fabric.delete()
      #expect(!fabric.exists)
      #expect(try !NetworkNamespace.names().contains(fabric.name))
      try fabric.delete()
      let error = #expect(throws: SystemError.self) { try fabric.links() }
      #expect(error?.description.contains(fabric.name) == true)
    }
  }

  @Test("Another range than the standard one is routed")
  func otherRange() throws {
    try NamespaceLaboratory.with { laboratory in
      let plan = try #require(AddressPlan(cidr: "10.64.0.0/15"))
      let fabric = try laboratory.fabric(plan: plan)
      let routes = try laboratory.run(
        in: fabric.name, "ip", "route", "show", "table", "main", "type", "local")
      #expect(routes.output.contains("local 10.64.0.0/15 dev lo"))
    }
  }
}
