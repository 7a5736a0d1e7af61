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

  @Test(
    "What only holds a pod's namespaces is none, whatever the annotations of its pod",
    arguments: ["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"])
  func sandbox(_ annotation: String) throws {
    let service = #""io.istbpf.deployment":"shop","io.istbpf.service":"app""#
    #expect(try claim(#"{"annotations":{\#(service),"\#(annotation)":"sandbox"}}"#) == nil)
    #expect(
      try claim(#"{"annotations":{\#(service),"\#(annotation)":"container"}}"#) == "shop/app")
  }

  @Test(
    "The engine is read from the bundle's path, or else from annotations",
    arguments: [
      ("/run/containerd/io.containerd.runtime.v2.task/moby/0123", "{}", .docker),
      ("/run/containerd/io.containerd.runtime.v2.task/default/a", "{}", .containerd),
      ("/x/io.containerd.runtime.v2.task/k8s.io/0123", "{}", .containerdCRI),
      (
        "/x/io.containerd.runtime.v2.task/k8s/0123",
        #"{"io.kubernetes.cri.container-type":"container"}"#, .containerdCRI
      ),
      (
        "/x/io.containerd.runtime.v2.task/default/a", #"{"io.container.manager":"libpod"}"#,
        .containerd
      ),
      (
        "/var/lib/containers/storage/overlay-containers/0/userdata",
        #"{"io.container.manager":"libpod","io.kubernetes.cri-o.ContainerType":"container"}"#,
        .podman
      ),
      ("/run/containers/0/userdata", #"{"io.container.manager":"cri-o"}"#, .crio),
      ("/x", #"{"io.kubernetes.cri-o.ContainerType":"sandbox"}"#, .crio),
      ("/home/me/bundle", "{}", .unknown), ("/io.containerd.runtime.v2.task", "{}", .unknown),
    ] as [(String, String, ContainerEngine)])
  func engine(_ bundle: String, _ annotations: String, _ engine: ContainerEngine) throws {
    let specification = try JSONValue(parsing: Array("{\"annotations\":\(annotations)}".utf8))
    #expect(EngineTraces.engine(at: "\(bundle)/config.json", specification) == engine)
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

  /// Those that engines give a container, but for one type.
  private static func namespaces(without type: String = "", _ more: String = "") -> String {
    let types = ["mount", "network", "pid", "ipc", "uts", "cgroup"].filter { $0 != type }
    return "\"namespaces\":[\(types.map { "{\"type\":\"\($0)\"}" }.joined(separator: ","))\(more)]"
  }

  private func check(linux: String, process: String = "{}") throws {
    try ContainerChecks.check(
      try JSONValue(parsing: Array("{\"process\":\(process),\"linux\":{\(linux)}}".utf8)),
      try RuntimeArguments(["create", "ID"]), listenDescriptors: nil)
  }

  @Test(
    "What would share the host's walls is refused, by name",
    arguments: [
      (namespaces(without: "network"), ContainerRefusal.hostNetwork),
      (namespaces(without: "pid"), .hostProcesses), (namespaces(without: "ipc"), .hostIPC),
      (namespaces(without: "mount"), .hostMounts),
      (
        namespaces(without: "cgroup", ",{\"type\":\"cgroup\",\"path\":\"/proc/1/ns/cgroup\"}"),
        .joinedCgroupNamespace
      ),
      (
        namespaces() + ",\"resources\":{\"devices\":[{\"allow\":true,\"access\":\"rwm\"}]}",
        .privileged
      ),
    ])
  func refused(_ linux: String, _ expected: ContainerRefusal) throws {
    #expect(throws: expected) { try check(linux: linux) }
  }

  @Test("All capabilities with nothing hidden is --privileged; a cgroup namespace may be missing")
  func privileges() throws {
    #expect(throws: ContainerRefusal.privileged) {
      try check(
        linux: Self.namespaces(), process: #"{"capabilities":{"bounding":["CAP_SYS_ADMIN"]}}"#)
    }
    try check(linux: Self.namespaces(without: "cgroup"))
  }

  @Test(
    "Devices pass that are known to be harmless, by their numbers, and no others",
    arguments: [
      (#"{"allow":true,"type":"c","major":1,"minor":3,"access":"rwm"}"#, true),
      (#"{"allow":true,"type":"c","major":136,"access":"rwm"}"#, true),
      (#"{"allow":true,"type":"c","major":10,"minor":200,"access":"rw"}"#, true),
      (#"{"allow":true,"type":"b","access":"m"}"#, true),
      (#"{"allow":false,"type":"b","access":"rwm"}"#, true),
      (#"{"allow":true,"type":"b","access":"rwm"},{"allow":false,"access":"rwm"}"#, true),
      (#"{"allow":true,"type":"b","access":"rwm"},{"allow":false,"access":"w"}"#, false),
      (#"{"allow":true,"type":"b","major":8,"minor":0,"access":"r"}"#, false),
      (#"{"allow":true,"type":"c","access":"rw"}"#, false),
      (#"{"allow":true,"type":"c","major":10,"access":"rw"}"#, false),
      (#"{"allow":true,"type":"c","major":10,"minor":-1,"access":"rw"}"#, false),
      (#"{"allow":true,"type":"c","major":1,"minor":1}"#, false),
      (#"{"allow":true,"type":"c","major":10,"minor":241,"access":"w"}"#, false),
      (#"{"allow":true,"type":"a","major":8,"minor":0,"access":"r"}"#, false),
    ])
  func devices(_ rules: String, _ passes: Bool) throws {
    let linux = Self.namespaces() + ",\"resources\":{\"devices\":[\(rules)]}"
    guard !passes else { return try check(linux: linux) }
    #expect(throws: ContainerRefusal.self) { try check(linux: linux) }
  }

  @Test(
    "A kernel parameter that makes a router of a container is refused, and others are not",
    arguments: [
      ("net.ipv4.ip_forward", "1", false), ("net/ipv4/ip_forward", "1", false),
      ("net.ipv4.conf.eth0.accept_local", "1", false), ("net.ipv6.conf.all.forwarding", "2", false),
      ("net.ipv4.ip_forward", "0", true), ("net.ipv4.ip_unprivileged_port_start", "0", true),
      ("kernel.shmmax", "1", true),
    ])
  func parameters(_ name: String, _ value: String, _ passes: Bool) throws {
    let linux = Self.namespaces() + ",\"sysctl\":{\"\(name)\":\"\(value)\"}"
    guard !passes else { return try check(linux: linux) }
    #expect(throws: ContainerRefusal.routing(name)) { try check(linux: linux) }
  }

  @Test("Descriptors that would be inherited are refused, and restoring")
  func arguments() throws {
    let specification = try JSONValue(
      parsing: Array("{\"process\":{},\"linux\":{\(Self.namespaces())}}".utf8))
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
