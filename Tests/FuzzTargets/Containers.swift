import Fabric
import Model
import OCIRuntime

/// What a container, its engine and its runtime say.
extension FuzzTarget {
  /// A SYN that a container's root made by hand, and the switch held.
  static let heldFrame = FuzzTarget("held-frame", seeds: [syn, syn + [0, 0]]) { bytes in
    guard var frame = HeldFrame(bytes) else { return }
    frame.completeChecksum()
    let once = frame.bytes
    frame.completeChecksum()
    precondition(frame.bytes == once && once.count == bytes.count)
    let answer = frame.unreachable(.host, from: AddressPlan.standard.gateway)
    // Ethernet, IP, ICMP, and of the SYN its IP header and eight bytes.
    precondition(answer.count == 14 + 20 + 8 + 28)
  }

  /// config.json: what is not ours in it stays, and a second edit adds nothing.
  static let containerConfiguration = FuzzTarget(
    "container-configuration", tries: 4000, seeds: configurations
  ) { bytes in
    guard var specification = try? JSONValue(parsing: bytes) else { return }
    precondition((try? JSONValue(parsing: specification.text)) == specification)
    guard
      let claim = (try? ContainerClaim.read(from: specification, acceptingVariables: true)) ?? nil
    else { return }
    let edit = ContainerEdit(
      claim: claim, variables: [("WARP_IST_db", "198.18.2.1")], hostsPath: "/run/hosts",
      executable: "/usr/bin/istbpf-oci", hookEnvironment: ["A=b"],
      configurationPath: "/bundle/config.json", engine: .podman)
    guard (try? edit.apply(to: &specification)) != nil else { return }
    let once = specification
    precondition((try? JSONValue(parsing: once.text)) == once)
    precondition((try? edit.apply(to: &specification)) != nil)
    precondition(specification.text.count == once.text.count)
  }

  /// What a runtime tells a hook.
  static let containerState = FuzzTarget(
    "container-state", seeds: [Array(#"{"id":"a","pid":4194304,"status":"created"}"#.utf8)]
  ) { _ = try? ContainerHook.State(parsing: $0) }

  private static let syn: [UInt8] =
    [2, 0x69, 0x73, 0x74, 0, 1, 2, 0x69, 198, 18, 1, 2, 8, 0]
    + [0x45, 0, 0, 44, 0, 1, 0x40, 0, 64, 6, 0, 0, 198, 18, 1, 2, 198, 18, 2, 9]
    + [0x9c, 0x40, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, 0x60, 2, 0xff, 0xff, 0, 0, 0, 0, 2, 4, 5, 0xb4]

  private static let configurations = [
    #"""
    {"annotations":{"io.istbpf.deployment":"shop","io.istbpf.service":"app"},"process":{"env":["A=b"],
    "capabilities":{"bounding":["CAP_CHOWN","CAP_NET_RAW"]}},"mounts":[{"destination":"/etc/hosts",
    "source":"/a","options":["bind"]}],"hooks":{"poststop":[{"path":"/b"}]},"linux":{"seccomp":
    {"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["socket"],"action":"SCMP_ACT_ALLOW",
    "args":[{"index":0,"value":40,"op":"SCMP_CMP_NE"}]}]}}}
    """#,
    #"{"process":{"env":["WARP_DEPLOYMENT=shop","WARP_SERVICE=app"]},"linux":{},"x":[1e5,null,"\u00e9"]}"#,
  ].map { Array($0.utf8) }
}
