import Model
import Testing

@testable import OCIRuntime

@Suite("What becomes of a container's config.json")
struct ContainerEditTests {
  private func edited(_ text: String, times: Int = 1) throws -> JSONValue {
    var specification = try JSONValue(parsing: Array(text.utf8))
    let edit = ContainerEdit(
      claim: ContainerClaim(
        deployment: try DeploymentName("shop"), service: try ServiceName("app")),
      variables: [("WARP_IST_db", "198.18.2.1"), ("WARP_SERVICE", "app")],
      hostsPath: "/run/istbpf/hosts/.containers/1", executable: "/usr/bin/istbpf-oci",
      hookEnvironment: ["ISTBPF_INSTALLATION=istbpf"], configurationPath: "/bundle/config.json",
      engine: .podman)
    for _ in 1...times { try edit.apply(to: &specification) }
    return specification
  }

  private static let engine = """
    {"ociVersion":"1.0.2","process":{"rlimits":[{"type":"RLIMIT_NOFILE","hard":18446744073709551615}],
    "env":["PATH=/bin","WARP_IST_db=192.0.2.9","WARP_IST_db2=kept"],"capabilities":{
    "bounding":["CAP_CHOWN","CAP_NET_RAW","CAP_SYS_ADMIN"],"effective":["CAP_NET_RAW"],
    "inheritable":["CAP_NET_ADMIN"],"permitted":["CAP_BPF","CAP_KILL"],"ambient":["CAP_NET_RAW"]}},
    "mounts":[{"destination":"/proc","type":"proc"},
    {"destination":"/etc//hosts/","type":"bind","source":"/engine/hosts","options":["rbind","rw"]}],
    "hooks":{"prestart":[{"path":"/proc/1/exe"}],"createRuntime":[{"path":"/other"}]},
    "linux":{"x":1.0}}
    """

  @Test("Variables of ours take the place of the image's, the others stay")
  func environment() throws {
    let variables = try edited(Self.engine)["process"]?["env"]?.elements.compactMap(\.string)
    #expect(
      variables == [
        "PATH=/bin", "WARP_IST_db2=kept", "WARP_IST_db=198.18.2.1", "WARP_SERVICE=app",
      ])
  }

  @Test(
    "A rule that denies every device is put first where there is none, once",
    arguments: [
      ("", 1), (#"{"allow":true,"type":"c","major":1,"minor":3,"access":"rwm"}"#, 2),
      (#"{"allow":false,"access":"w"}"#, 2), (#"{"allow":false,"access":"rwm"}"#, 1),
    ])
  func devices(_ rules: String, _ count: Int) throws {
    let text = #"{"process":{},"linux":{"resources":{"devices":[\#(rules)]}}}"#
    let made = try edited(text, times: 2)["linux"]?["resources"]?["devices"]?.elements ?? []
    #expect(made.count == count)
    #expect(made.first?["allow"]?.isTrue == false && made.first?["access"]?.string == "rwm")
    // Some engines have no such list at all.
    let none = try edited(Self.engine)["linux"]?["resources"]?["devices"]?.elements
    #expect(none?.count == 1)
  }

  @Test("Capabilities that could open the walls leave every set")
  func capabilities() throws {
    let sets = try edited(Self.engine)["process"]?["capabilities"]
    #expect(sets?["bounding"]?.elements.compactMap(\.string) == ["CAP_CHOWN"])
    #expect(sets?["permitted"]?.elements.compactMap(\.string) == ["CAP_KILL"])
    for name in ["effective", "inheritable", "ambient"] {
      #expect(sets?[name] == .array([]), "\(name)")
    }
  }

  @Test("A capability that nobody has thought about leaves too, whatever its name")
  func unknownCapability() throws {
    let text = #"{"process":{"capabilities":{"bounding":["CAP_NEW","cap_kill","CAP_SYS_BOOT"]}}}"#
    let bounding = try edited(text)["process"]?["capabilities"]?["bounding"]
    #expect(bounding == .strings(["cap_kill"]))
  }

  @Test("A container without a cgroup namespace gets one, and one that has one keeps it")
  func cgroupNamespace() throws {
    let none = #"{"process":{},"linux":{"namespaces":[{"type":"pid"}]}}"#
    let types = try edited(none, times: 2)["linux"]?["namespaces"]?.elements
    #expect(types?.compactMap { $0["type"]?.string } == ["pid", "cgroup"])
    let own = #"{"process":{},"linux":{"namespaces":[{"type":"cgroup"}]}}"#
    #expect(try edited(own)["linux"]?["namespaces"]?.elements.count == 1)
  }

  @Test(
    "What of /proc and /sys every engine hides is hidden, and the host's directories are read-only")
  func systemPaths() throws {
    let text = #"""
      {"process":{},"linux":{"maskedPaths":["/own"],"readonlyPaths":[]},"mounts":[
      {"destination":"/sys","type":"sysfs","options":["nosuid"]},
      {"destination":"/a","type":"bind","source":"/etc/../etc","options":["rbind","rw"]},
      {"destination":"/b","type":"none","source":"/usr/bin/env","options":["bind"]},
      {"destination":"/c","type":"bind","source":"/tmp","options":["rbind","rw"]}]}
      """#
    let specification = try edited(text, times: 2)
    let linux = specification["linux"]
    #expect(linux?["maskedPaths"]?.elements.compactMap(\.string) == ["/own"] + SystemPaths.masked)
    #expect(linux?["readonlyPaths"]?.elements.compactMap(\.string) == SystemPaths.readOnly)
    let options = (specification["mounts"]?.elements ?? []).prefix(4).map {
      ($0["options"]?.elements ?? []).compactMap(\.string)
    }
    #expect(options == [["nosuid", "ro"], ["rbind", "ro"], ["bind", "ro"], ["rbind", "rw"]])
  }

  @Test("The daemon's hosts file takes the place of the engine's, read-only")
  func hosts() throws {
    let specification = try JSONValue(parsing: Array(Self.engine.utf8))
    #expect(ContainerEdit.hostsSource(in: specification) == "/engine/hosts")
    let mounts = try edited(Self.engine)["mounts"]?.elements ?? []
    #expect(mounts.compactMap { $0["destination"]?.string } == ["/proc", "/etc/hosts"])
    #expect(mounts.last?["source"]?.string == "/run/istbpf/hosts/.containers/1")
    #expect(mounts.last?["options"]?.elements.contains(.string("ro")) == true)
  }

  @Test("crun is told where hooks report, unless the container says so itself")
  func hookErrors() throws {
    let name = "run.oci.hooks.stderr"
    #expect(try edited(Self.engine, times: 2)["annotations"]?[name]?.string == "/dev/stderr")
    let own = try edited(#"{"annotations":{"a":"b","\#(name)":"/log"},"process":{},"linux":{}}"#)
    #expect(own["annotations"] == .with(["a": .string("b"), name: .string("/log")]))
  }

  @Test("The hooks have an environment of their own and a time limit, and others' hooks stay")
  func hooks() throws {
    let hooks = try edited(Self.engine)["hooks"]
    #expect(hooks?["prestart"]?.elements.count == 1)
    let create = hooks?["createRuntime"]?.elements ?? []
    #expect(create.compactMap { $0["path"]?.string } == ["/usr/bin/istbpf-oci", "/other"])
    #expect(
      create.first?["args"]?.elements.compactMap(\.string) == [
        "/usr/bin/istbpf-oci", "istbpf-hook", "attach", "shop", "app",
        "/run/istbpf/hosts/.containers/1", "/bundle/config.json", "podman",
      ])
    for hook in [create.first, hooks?["poststop"]?.elements.first] {
      #expect(hook?["env"] == .strings(["ISTBPF_INSTALLATION=istbpf"]))
      #expect(hook?["timeout"]?.unsigned == 30)
    }
  }

  @Test("What is unknown stays, byte for byte")
  func unknown() throws {
    let text = String(decoding: try edited(Self.engine).text, as: UTF8.self)
    #expect(text.contains(#""hard":18446744073709551615"#))
    #expect(text.contains(#""linux":{"x":1.0,"#))
  }

  @Test("A second edit changes nothing")
  func again() throws {
    for text in [Self.engine, #"{"process":{},"linux":{}}"#] {
      #expect(try edited(text, times: 3) == edited(text))
    }
  }
}
