import CDataplaneABI
import LinuxSystem
import Model
import TestSupport
import Testing

@testable import Dataplane

@Suite("The program of an instance's network namespace")
struct LookupTests {
  @Test("It hides who listens from other interfaces, and counts who tries for the instance")
  func inbound() throws {
    try NamespaceLaboratory.with { namespaces in
      let laboratory = try DataplaneLaboratory()
      let lookup = LookupProgram(directory: laboratory.directory)
      let (inside, namespace) = try namespaces.namespace()
      let (outside, _) = try namespaces.namespace()
      for command in [
        ["link", "set", "lo", "up"],
        ["link", "add", "eth0", "type", "veth", "peer", "name", "world0", "netns", outside],
        ["addr", "add", "10.9.9.2/24", "dev", "eth0"], ["link", "set", "eth0", "up"],
      ] { #expect(try run(["ip", "-n", inside] + command).status == 0, "\(command)") }
      for command in [
        ["addr", "add", "10.9.9.1/24", "dev", "world0"], ["link", "set", "world0", "up"],
      ] { #expect(try run(["ip", "-n", outside] + command).status == 0, "\(command)") }
      let listener = try namespaces.start(in: inside, "nc", "-lk", "0.0.0.0", "8080")
      func connects(_ host: String, from name: String) throws -> Bool {
        try namespaces.run(in: name, "nc", "-z", "-w", "2", host, "8080").status == 0
      }
      func counted() throws -> [[UInt64]] {
        try laboratory.maps.denials.entries().map {
          [UInt64($0.key.deployment), UInt64($0.key.service), UInt64($0.key.reason), $0.value]
        }
      }
      let deadline = ContinuousClock.now + .seconds(60)
      while try !connects("10.9.9.2", from: outside), ContinuousClock.now < deadline {}
      #expect(try connects("10.9.9.2", from: outside), "a way, but for the program")

      let instance = Identity(deployment: 3, address: IPv4Address(0xc612_0102))
      try lookup.attach(to: namespace.fileDescriptor, of: instance)
      #expect(try !connects("10.9.9.2", from: outside))
      let reason = UInt64(IST_INBOUND.rawValue)
      #expect(try counted() == [[0, 0, reason, 1]], "nobody's before it is identified")
      try laboratory.maps.fabricLinks.set(instance.abi(), at: UInt32(instance.ifindex))
      // Another daemon's program takes its place.
      try lookup.renew(of: instance)
      #expect(try !connects("10.9.9.2", from: outside))
      #expect(try Set(counted()) == [[0, 0, reason, 1], [3, 1, reason, 1]])
      #expect(try connects("127.0.0.1", from: inside), "loopback is its own")
      lookup.remove(of: instance)
      let again = ContinuousClock.now + .seconds(60)
      while try !connects("10.9.9.2", from: outside), ContinuousClock.now < again {}
      #expect(try connects("10.9.9.2", from: outside))
      listener.stop()
    }
  }
}
