import Glibc
import LinuxSystem
import TestSupport
import Testing

@Suite("Credentials and capabilities")
struct CredentialTests {
  @Test("A user that does not exist is named in the error")
  func unknownUser() throws {
    let error = #expect(throws: Credentials.LookupError.self) {
      try Credentials(lookingUp: "no-such-user")
    }
    #expect(error?.description == "user 'no-such-user' does not exist")
    #expect(throws: Credentials.LookupError.unknownUser("")) { try Credentials(lookingUp: "") }
    #expect(throws: Credentials.LookupError.unknownGroup("nogrp")) {
      try Credentials(lookingUp: "root:nogrp")
    }
  }

  @Test("The uid and gid that mean 'unchanged' to the kernel are no users")
  func unchangedIdentifiers() throws {
    #expect(throws: Credentials.LookupError.self) { try Credentials(lookingUp: "4294967295:1") }
    #expect(throws: Credentials.LookupError.self) { try Credentials(lookingUp: "1:4294967295") }
    #expect(throws: Credentials.LookupError.self) { try Credentials(lookingUp: "-1") }
  }

  @Test("A user is found by name and by number, with a group and without")
  func lookup() throws {
    let named = try Credentials(lookingUp: "nobody")
    #expect(named.uid == 65534)
    #expect(named.name == "nobody")
    #expect(named.supplementaryGroups == [named.gid])
    #expect(try Credentials(lookingUp: "65534") == named)
    let numbers = try Credentials(lookingUp: "12345:54321")
    #expect((numbers.uid, numbers.gid) == (12345, 54321))
    #expect(numbers.supplementaryGroups.isEmpty)
    #expect(try Credentials(lookingUp: "nobody:root").gid == 0)
    #expect(throws: Credentials.LookupError.groupMissing(uid: 12345)) {
      try Credentials(lookingUp: "12345")
    }
  }

  @Test("A thread that stays root keeps exactly the container's capabilities")
  func stayRoot() throws {
    try requireRoot()
    let sets = try capabilities(as: "root")
    #expect(sets["CapPrm"] == CapabilitySet.containerDefault)
    #expect(sets["CapEff"] == CapabilitySet.containerDefault)
    #expect(sets["CapBnd"] == CapabilitySet.containerDefault)
    #expect(sets["CapInh"] == [])
    #expect(sets["CapAmb"] == [])
  }

  @Test(
    "A thread that becomes another user keeps none, and can regain none outside of the bounding set"
  )
  func becomeNobody() throws {
    try requireRoot()
    let sets = try capabilities(as: "nobody")
    for name in ["CapPrm", "CapEff", "CapInh", "CapAmb"] { #expect(sets[name] == [], "\(name)") }
    #expect(sets["CapBnd"] == CapabilitySet.containerDefault)
  }

  @Test("The container's capabilities have none that reach past BPF's hooks")
  func containerDefault() {
    let refused: CapabilitySet = [.netRaw, .netAdmin, .bpf, .sysAdmin, .sysPtrace, .mknod]
    #expect(CapabilitySet.containerDefault.isDisjoint(with: refused))
  }

  @Test("Dropping changes the thread that does it alone, and what it starts")
  func threadAlone() throws {
    try requireRoot()
    try DedicatedThread.run {
      try CredentialDrop.apply(
        Credentials(lookingUp: "nobody"), keeping: CapabilitySet.containerDefault)
      let status = try SmallFile.read("/proc/thread-self/status")
      #expect(status.contains("Uid:\t65534\t65534\t65534\t65534"))
      #expect(status.contains("Gid:\t65534\t65534\t65534\t65534"))
      #expect(throws: SystemError.self) { try SmallFile.read("/etc/shadow") }
    }
    #expect(geteuid() == 0)
    let now = try ThreadCapabilities.current()
    #expect(now.effective.contains(.sysAdmin))
  }

  /// The capability sets of a thread that has become `user`.
  private func capabilities(as user: String) throws -> [String: CapabilitySet] {
    let status = try DedicatedThread.run {
      try CredentialDrop.apply(
        Credentials(lookingUp: user), keeping: CapabilitySet.containerDefault)
      return try SmallFile.read("/proc/thread-self/status")
    }
    var sets: [String: CapabilitySet] = [:]
    for line in status.split(separator: "\n") where line.hasPrefix("Cap") {
      let fields = line.split(whereSeparator: { $0 == ":" || $0 == "\t" })
      sets[String(fields[0])] = UInt64(fields[1], radix: 16).map(CapabilitySet.init(rawValue:))
    }
    return sets
  }
}
