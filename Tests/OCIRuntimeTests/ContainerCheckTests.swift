import Foundation
import Model
import Testing

@testable import OCIRuntime

@Suite("Which containers are of a service, and which may be")
struct ContainerCheckTests {
  private func claim(_ text: String, acceptingVariables: Bool = true) throws -> String? {
    try ContainerClaim.read(
      from: try JSONValue(parsing: Array(text.utf8)), acceptingVariables: acceptingVariables
    ).map { "\($0.deployment)/\($0.service)" }
  }

  @Test("Annotations name the service, or else variables, of which the last counts")
  func claims() throws {
    let annotations = #""annotations":{"io.istbpf.deployment":"shop","io.istbpf.service":"app"}"#
    let variables =
      #""process":{"env":["WARP_SERVICE=x","WARP_DEPLOYMENT=other","WARP_SERVICE=db"]}"#
    #expect(try claim("{\(annotations)}") == "shop/app")
    #expect(try claim("{\(variables)}") == "other/db")
    #expect(try claim("{\(annotations),\(variables)}") == "shop/app")
    #expect(try claim("{\(variables)}", acceptingVariables: false) == nil)
  }

  @Test(
    "A container that names neither is none",
    arguments: [
      "{}", #"{"annotations":null,"process":{"env":null}}"#,
      #"{"annotations":{"io.istbpf.deployment":""},"process":{"env":["WARP_SERVICE=","XWARP_SERVICE=a"]}}"#,
    ])
  func none(_ text: String) throws {
    #expect(try claim(text) == nil)
  }

  @Test("Half a claim and a name that cannot be are refused")
  func badClaims() {
    #expect(throws: ContainerRefusal.incompleteClaim(missing: "service")) {
      try claim(#"{"annotations":{"io.istbpf.deployment":"shop"}}"#)
    }
    #expect(throws: InvalidName.self) {
      try claim(#"{"annotations":{"io.istbpf.deployment":"../x","io.istbpf.service":"app"}}"#)
    }
  }

  private static let namespaces = """
    "namespaces":[{"type":"mount"},{"type":"network","path":"/run/netns/x"},{"type":"cgroup"}]
    """

  @Test(
    "What would share the host's walls is refused, by name",
    arguments: [
      ("\"namespaces\":[{\"type\":\"cgroup\"}]", ContainerRefusal.hostNetwork),
      ("\"namespaces\":[{\"type\":\"network\"}]", .cgroupNamespace(joined: false)),
      (
        "\"namespaces\":[{\"type\":\"network\"},{\"type\":\"cgroup\",\"path\":\"/proc/1/ns/cgroup\"}]",
        .cgroupNamespace(joined: true)
      ),
      (
        namespaces + ",\"resources\":{\"devices\":[{\"allow\":true,\"access\":\"rwm\"}]}",
        .privileged
      ),
      (namespaces, .privileged),
    ])
  func refused(_ linux: String, _ expected: ContainerRefusal) throws {
    // The last one by what it may do: everything, with nothing hidden.
    let specification = """
      {"process":{"capabilities":{"bounding":["CAP_SYS_ADMIN"]}},"linux":{\(linux)}}
      """
    #expect(throws: expected) {
      try ContainerChecks.check(
        try JSONValue(parsing: Array(specification.utf8)), try RuntimeArguments(["create", "ID"]),
        listenDescriptors: nil)
    }
  }

  @Test("Descriptors that would be inherited are refused, and restoring")
  func arguments() throws {
    let specification = try JSONValue(
      parsing: Array("{\"process\":{},\"linux\":{\(Self.namespaces)}}".utf8))
    func check(_ line: String..., listening: String? = nil) throws {
      try ContainerChecks.check(
        specification, try RuntimeArguments(line), listenDescriptors: listening)
    }
    try check("create", "--preserve-fds", "0", "ID")
    #expect(throws: ContainerRefusal.preservedDescriptors("2")) {
      try check("create", "--preserve-fds=2", "ID")
    }
    #expect(throws: ContainerRefusal.preservedDescriptors("1")) {
      try check("create", "ID", listening: "1")
    }
    #expect(throws: ContainerRefusal.restored) { try check("restore", "ID") }
  }

  @Test("The engine's hosts file is read, and nothing inside the root file system")
  func hosts() throws {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent(
      "istbpf-hosts-\(UInt32.random(in: 0...UInt32.max))")
    defer { try? FileManager.default.removeItem(at: directory) }
    let root = directory.appendingPathComponent("rootfs")
    try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
    func text(_ name: String) -> String {
      HostsSource.text(
        at: directory.appendingPathComponent(name).path, rootFileSystem: root.path)
    }
    for name in ["hosts", "rootfs/hosts"] {
      try Data("192.0.2.1 mine\n".utf8).write(to: directory.appendingPathComponent(name))
    }
    try FileManager.default.createSymbolicLink(
      atPath: directory.appendingPathComponent("link").path, withDestinationPath: "rootfs/hosts")
    #expect(text("hosts") == "192.0.2.1 mine\n")
    for name in ["rootfs/hosts", "link", "missing", "rootfs", "rootfs/../rootfs/hosts"] {
      #expect(text(name) == HostsSource.fallback, "\(name)")
    }
    #expect(mkfifo(directory.appendingPathComponent("pipe").path, 0o600) == 0)
    #expect(text("pipe") == HostsSource.fallback)
  }

  @Test("The configuration says which runtime is real and whether variables count")
  func configuration() throws {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent(
      "istbpf-configuration-\(UInt32.random(in: 0...UInt32.max))")
    defer { try? FileManager.default.removeItem(at: file) }
    func read(_ text: String, _ environment: [String: String] = [:]) throws -> WrapperConfiguration
    {
      try Data(text.utf8).write(to: file)
      return try WrapperConfiguration.read(file: file.path) { environment[$0] }
    }
    let text = #"{"cluster":"x","oci":{"runtime":"/opt/crun","variables":false}}"#
    #expect(
      try read(text) == WrapperConfiguration(runtime: "/opt/crun", acceptsVariables: false))
    let environment = ["ISTBPF_OCI_RUNTIME": "/bin/runc", "ISTBPF_OCI_VARIABLES": "true"]
    #expect(try read(text, environment) == WrapperConfiguration(runtime: "/bin/runc"))
    #expect(try read("{}") == WrapperConfiguration())
    for bad in ["{", #"{"oci":{"variables":"no"}}"#, #"{"oci":{"runtime":3}}"#] {
      #expect(throws: WrapperConfiguration.Invalid.self, "\(bad)") { try read(bad) }
    }
    #expect(throws: WrapperConfiguration.Invalid.self) {
      try WrapperConfiguration(runtime: "/nowhere/runc").runtimePath(own: "/proc/self/exe")
    }
    #expect(throws: WrapperConfiguration.Invalid.self, "itself is no other runtime") {
      try WrapperConfiguration(runtime: "/proc/self/exe").runtimePath(own: "/proc/self/exe")
    }
  }
}
