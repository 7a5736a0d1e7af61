import Fabric
import LinuxSystem
import Model
import TestSupport
import Testing

@Suite("Attachments that fail")
struct AttachmentFailureTests {
  let app = InstanceLink(name: "app.2", ifindex: 70_003, address: IPv4Address(0xc612_0102))

  /// What a failed attachment must leave as it was.
  private func state(_ names: [String], _ laboratory: NamespaceLaboratory) throws -> [String] {
    try names.flatMap { name in
      try [["link"], ["-4", "route", "show", "table", "all"], ["neigh"]].map { arguments in
        let result = try run(["ip", "-brief", "-netns", name] + arguments)
        // The loopback may have been set up: it does no harm. That a link which is up also works the
        // kernel tells after the fact: before Linux 6.8 that may take a second.
        return result.output.split(separator: "\n").map {
          $0.replacing("UNKNOWN", with: "UP     ").replacing("DOWN   ", with: "UP     ")
            .replacing("NO-CARRIER,", with: "")
        }
        .filter { !$0.contains("127.0.0.") && !$0.hasPrefix("lo ") }.joined(separator: "\n")
      }
    }
  }

  @Test("When what is to be done before the link is up fails, nothing is left")
  func beforeUpThrows() throws {
    try NamespaceLaboratory.with { laboratory in
      let fabric = try laboratory.fabric()
      let (name, netns) = try laboratory.namespace()
      let before = try state([fabric.name, name], laboratory)
      struct Failure: Error {}
      #expect(throws: Failure.self) {
        try fabric.attach(app, netns: netns) { _ in throw Failure() }
      }
      #expect(try state([fabric.name, name], laboratory) == before)
      try fabric.attach(app, netns: netns)
    }
  }

  @Test(
    "When the instance's end vanishes mid-way, nothing is left and the error asks whether it ended")
  func vanishes() throws {
    try NamespaceLaboratory.with { laboratory in
      let fabric = try laboratory.fabric()
      let (name, netns) = try laboratory.namespace()
      let before = try state([fabric.name, name], laboratory)
      let error = #expect(throws: SystemError.self) {
        try fabric.attach(app, netns: netns) { try fabric.detach(ifindex: $0) }
      }
      #expect(
        error?.hint?.contains("has the instance ended?") == true, "\(String(describing: error))")
      #expect(try state([fabric.name, name], laboratory) == before)
    }
  }

  @Test("A namespace with an ist0 is refused, and what it has stays")
  func secondAttachment() throws {
    try NamespaceLaboratory.with { laboratory in
      let fabric = try laboratory.fabric()
      let (name, netns) = try laboratory.namespace()
      try fabric.attach(app, netns: netns)
      let before = try state([fabric.name, name], laboratory)
      let other = InstanceLink(name: "app.3", ifindex: 70_004, address: IPv4Address(0xc612_0103))
      let error = #expect(throws: SystemError.self) { try fabric.attach(other, netns: netns) }
      #expect(error?.errno == .fileExists)
      #expect(error?.hint?.contains("has an ist0 already") == true)
      #expect(try state([fabric.name, name], laboratory) == before)
    }
  }

  @Test("A name or a number that the fabric has already is refused, and what has it stays")
  func taken() throws {
    try NamespaceLaboratory.with { laboratory in
      let fabric = try laboratory.fabric()
      let (first, second) = (try laboratory.namespace(), try laboratory.namespace())
      try fabric.attach(app, netns: first.namespace)
      let names = [fabric.name, first.name, second.name]
      let before = try state(names, laboratory)
      let address = IPv4Address(0xc612_0103)
      let cases: [(InstanceLink, String)] = [
        (InstanceLink(name: "app.2", ifindex: 70_004, address: address), "link of that name"),
        (InstanceLink(name: "app.3", ifindex: 70_003, address: address), "with number 70003"),
      ]
      for (link, hint) in cases {
        let error = #expect(throws: SystemError.self) {
          try fabric.attach(link, netns: second.namespace)
        }
        #expect(error?.hint?.contains(hint) == true, "\(String(describing: error))")
        #expect(error?.object == fabric.name)
        let after = try state(names, laboratory)
        #expect(after == before)
      }
    }
  }

  @Test("A link without a valid name, number or address is refused before anything is made")
  func invalid() throws {
    try NamespaceLaboratory.with { laboratory in
      let fabric = try laboratory.fabric()
      let (_, netns) = try laboratory.namespace()
      for link in [
        InstanceLink(name: "", ifindex: 70_003, address: app.address),
        InstanceLink(name: "sixteen-bytes-ok", ifindex: 70_003, address: app.address),
        InstanceLink(name: "a/b", ifindex: 70_003, address: app.address),
        InstanceLink(name: "app.2", ifindex: 1, address: app.address),
        InstanceLink(name: "app.2", ifindex: 70_003, address: IPv4Address(0x0a00_0001)),
      ] {
        let error = #expect(throws: SystemError.self) { try fabric.attach(link, netns: netns) }
        #expect(error?.errno == .invalidArgument)
      }
    }
  }

  @Test("A fabric that was deleted is an error that names its namespace")
  func noFabric() throws {
    try NamespaceLaboratory.with { laboratory in
      let fabric = laboratory.unmadeFabric()
      let (_, netns) = try laboratory.namespace()
      let error = #expect(throws: SystemError.self) { try fabric.attach(app, netns: netns) }
      #expect(error?.errno == .noSuchFileOrDirectory)
      #expect(error?.object == fabric.name)
      #expect(error?.hint?.contains("deleted by hand?") == true)
    }
  }
}
