import Fabric
import LinuxSystem
import Model
import TestSupport
import Testing

@Suite("Attachment duration", .serialized)
struct AttachmentDurationTests {
  @Test("Attaching an instance takes a small part of the 50 ms that starting one may take")
  func duration() throws {
    try NamespaceLaboratory.with { laboratory in
      let fabric = try laboratory.fabric()
      let clock = ContinuousClock()
      var (attach, detach, create): ([Duration], [Duration], [Duration]) = ([], [], [])
      for number in Int32(0)..<30 {
        var made: NetworkNamespace?
        create.append(try clock.measure { made = try NetworkNamespace.anonymous() })
        let netns = try #require(made)
        let link = InstanceLink(
          name: "l\(number)", ifindex: 72_000 + number,
          address: fabric.plan.instanceAddress(1, InstanceNumber(number + 2)))
        attach.append(try clock.measure { try fabric.attach(link, netns: netns) })
        detach.append(try clock.measure { try fabric.detach(ifindex: link.ifindex) })
      }
      for (name, times) in [("namespace", create), ("attach", attach), ("detach", detach)] {
        let sorted = times.sorted()
        print("\(name): median \(sorted[sorted.count / 2]), worst \(sorted[sorted.count - 1])")
      }
      // The median: other tests run at the same time, on as little as two cores.
      #expect(attach.sorted()[attach.count / 2] < .milliseconds(25) * slowness)
    }
  }
}
