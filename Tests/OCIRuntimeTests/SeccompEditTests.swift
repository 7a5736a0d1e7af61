import Testing

@testable import OCIRuntime

@Suite("Seccomp profiles that are narrowed to the socket families")
struct SeccompEditTests {
  private func rules(_ profile: String) throws -> [JSONValue] {
    try SeccompEdit.narrowed(try JSONValue(parsing: Array(profile.utf8)))["syscalls"]?.elements
      ?? []
  }

  /// What the rules do with socket(family, 1, protocol): the actions of all that match, as every one
  /// of them could be the one that libseccomp has come first; the default's where none does.
  private func actions(
    _ profile: String, family: UInt64, protocol number: UInt64 = 0, call: String = "socket"
  ) throws -> Set<String> {
    let matching = try rules(profile).filter { rule in
      rule["names"]?.elements.contains(.string(call)) == true
        && (rule["args"]?.elements ?? []).allSatisfy { argument in
          let condition = SeccompCondition(argument)
          return condition?.holds(for: [family, 1, number][Int(condition?.index ?? 0)]) == true
        }
    }
    let defaultAction = try JSONValue(parsing: Array(profile.utf8))["defaultAction"]?.string ?? ""
    let actions = Set(matching.compactMap { $0["action"]?.string })
    return actions.isEmpty ? [defaultAction] : actions
  }

  private static let allowed: [UInt64] = [1, 2, 10, 16]
  private static let forbidden: [UInt64] = [
    0, 3, 17, 21, 31, 32, 38, 40, 43, 44, 45, 64, 0xffff_ffff,
  ]

  @Test(
    "Only the four families pass, whatever the profile's form",
    arguments: [
      #"{"defaultAction":"SCMP_ACT_ALLOW"}"#,
      #"{"defaultAction":"SCMP_ACT_LOG","syscalls":[{"names":["socket"],"action":"SCMP_ACT_ALLOW"}]}"#,
      #"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read","socket"],"action":"SCMP_ACT_ALLOW"}]}"#,
      #"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":40,"op":"SCMP_CMP_NE"}]}]}"#,
      #"{"defaultAction":"SCMP_ACT_KILL","syscalls":[{"names":["socket"],"action":"SCMP_ACT_LOG","args":[{"index":0,"value":1,"op":"SCMP_CMP_GE"}]}]}"#,
      #"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":2,"value":9,"op":"SCMP_CMP_NE"}]},{"names":["socket"],"action":"SCMP_ACT_NOTIFY","args":[{"index":0,"value":16,"op":"SCMP_CMP_NE"}]}]}"#,
    ])
  func families(_ profile: String) throws {
    for family in Self.allowed {
      let actions = try actions(profile, family: family)
      #expect(actions.allSatisfy(SeccompAction.letsPass), "\(family)")
    }
    for family in Self.forbidden {
      let actions = try actions(profile, family: family)
      #expect(!actions.contains(where: SeccompAction.letsPass), "\(family)")
    }
  }

  @Test("What the profile refused it goes on refusing")
  func strictness() throws {
    let podman = #"""
      {"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"syscalls":[
      {"names":["socket"],"action":"SCMP_ACT_ERRNO","errnoRet":22,"args":[{"index":0,"value":16,"op":"SCMP_CMP_EQ"},{"index":2,"value":9,"op":"SCMP_CMP_EQ"}]},
      {"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":2,"value":9,"op":"SCMP_CMP_NE"}]},
      {"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":16,"op":"SCMP_CMP_NE"}]}]}
      """#
    #expect(try actions(podman, family: 16, protocol: 9) == ["SCMP_ACT_ERRNO"])
    #expect(try actions(podman, family: 16, protocol: 0) == ["SCMP_ACT_ALLOW"])
    #expect(try actions(podman, family: 2, protocol: 9) == ["SCMP_ACT_ALLOW"])
    #expect(try actions(podman, family: 17, protocol: 3) == ["SCMP_ACT_ERRNO"])

    let unixOnly = #"""
      {"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["socket","socketpair"],
      "action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]}]}
      """#
    #expect(try actions(unixOnly, family: 2) == ["SCMP_ACT_ERRNO"])
    #expect(try actions(unixOnly, family: 1, call: "socketpair") == ["SCMP_ACT_ALLOW"])

    let killing = #"""
      {"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["socket"],"action":"SCMP_ACT_KILL_PROCESS",
      "args":[{"index":0,"value":17,"op":"SCMP_CMP_EQ"}]}]}
      """#
    #expect(try actions(killing, family: 17) == ["SCMP_ACT_KILL_PROCESS"])
    #expect(try actions(killing, family: 2) == ["SCMP_ACT_ALLOW"])
  }

  @Test("Several conditions on one argument mean any of them, as runc has it, and stay so")
  func alternatives() throws {
    let profile = #"""
      {"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[
      {"index":2,"value":6,"op":"SCMP_CMP_EQ"},{"index":2,"value":17,"op":"SCMP_CMP_EQ"}]}]}
      """#
    #expect(try actions(profile, family: 2, protocol: 6) == ["SCMP_ACT_ALLOW"])
    #expect(try actions(profile, family: 2, protocol: 17) == ["SCMP_ACT_ALLOW"])
    #expect(try actions(profile, family: 2, protocol: 0) == ["SCMP_ACT_ERRNO"])
    #expect(try actions(profile, family: 17, protocol: 6) == ["SCMP_ACT_ERRNO"])
  }

  @Test(
    "io_uring and the multiplexed call of 32-bit x86 are refused",
    arguments: [
      #"{"defaultAction":"SCMP_ACT_ALLOW"}"#,
      #"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"syscalls":[{"names":["io_uring_setup","socketcall","read"],"action":"SCMP_ACT_ALLOW"}]}"#,
    ])
  func unfilterable(_ profile: String) throws {
    for call in ["io_uring_setup", "socketcall"] {
      #expect(try actions(profile, family: 1, call: call) == ["SCMP_ACT_ERRNO"], "\(call)")
    }
    #expect(try rules(profile).first?["names"] == .strings(["socketcall"]))
  }

  @Test("A condition that cannot be understood refuses the container")
  func unknownCondition() {
    #expect(throws: ContainerRefusal.self) {
      try rules(
        #"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":1,"op":"SCMP_CMP_NEW"}]}]}"#
      )
    }
  }
}
