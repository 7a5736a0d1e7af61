import Glibc
import LinuxSystem

/// Narrows a seccomp profile of config.json to the socket families of `SocketFamilyFilter`.
///
/// What the profile refuses it goes on refusing. A rule that lets socket(2) pass is replaced by one
/// for each family that may, under the rule's other conditions; rules that refuse are left as they
/// are. libseccomp can neither negate a comparison nor have two for one argument, hence a rule for
/// each family.
enum SeccompEdit {
  /// Throws `ContainerRefusal.otherSeccomp` where a rule cannot be understood.
  static func apply(to specification: inout JSONValue) throws(ContainerRefusal) {
    let profile = specification["linux"]?["seccomp"] ?? allowingEverything
    specification["linux"]?["seccomp"] = try narrowed(profile)
  }

  /// What a container without a profile has.
  private static var allowingEverything: JSONValue {
    #if arch(arm64)
      let architectures = ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
    #else
      let architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    #endif
    return .with([
      "defaultAction": .string("SCMP_ACT_ALLOW"), "architectures": .strings(architectures),
    ])
  }

  /// The one system call that 32-bit x86 has for all of its socket calls. libseccomp makes rules for it
  /// of those for socket(2), without their conditions, and then finds them contradictory (EEXIST),
  /// unless a rule for it without conditions comes first.
  private static let multiplexed = "socketcall"
  /// Makes sockets that no filter sees.
  private static let unfilterable = "io_uring_setup"
  private static let filterable = ["socket", "socketpair"]

  static func narrowed(_ profile: JSONValue) throws(ContainerRefusal) -> JSONValue {
    guard let defaultAction = profile["defaultAction"]?.string else {
      throw .otherSeccomp("it has no defaultAction")
    }
    var kept: [JSONValue] = []
    var passing: [JSONValue] = []
    var refused: [String: [String]] = [:]
    for rule in profile["syscalls"]?.elements ?? [] {
      let names = (rule["names"]?.elements ?? []).compactMap(\.string)
      let action = rule["action"]?.string ?? ""
      let letsPass = SeccompAction.letsPass(action)
      var others = rule
      others["names"] = .strings(
        names.filter { name in
          guard ([multiplexed, unfilterable] + filterable).contains(name) else { return true }
          if !letsPass { refused[name, default: []].append(action) }
          return !letsPass && name != multiplexed
        })
      if others["names"]?.elements.count == names.count {
        kept.append(rule)
      } else if others["names"]?.elements.isEmpty == false {
        kept.append(others)
      }
      for name in names where letsPass && filterable.contains(name) {
        passing += try forAllowedFamilies(rule, name)
      }
    }
    let isOpen = SeccompAction.letsPass(defaultAction)
    if isOpen {
      let actions = filterable.flatMap { refused[$0] ?? [] }
      passing += forForbiddenFamilies(SeccompAction.strictest(actions))
      if refused[unfilterable] == nil { passing.append(refusal(of: [unfilterable], errno: ENOSYS)) }
    }
    for new in passing where !kept.contains(new) { kept.append(new) }
    let first = refusalOfMultiplexed(profile, defaultAction, refused[multiplexed] ?? [])
    var narrowed = profile
    narrowed["syscalls"] = .array([first].compactMap(\.self) + kept)
    return narrowed
  }

  /// As strict as the rules that it stands for, and as the default. Runtimes leave out a rule with the
  /// default's action, so it has another one, where there is one.
  private static func refusalOfMultiplexed(
    _ profile: JSONValue, _ defaultAction: String, _ actions: [String]
  ) -> JSONValue? {
    let action = SeccompAction.strictest(actions + [defaultAction])
    guard action == defaultAction else { return refusal(of: [multiplexed], action, errno: ENOSYS) }
    guard action == SeccompAction.errno else {
      let stricter = SeccompAction.strictestOfAll
      return action == stricter ? nil : refusal(of: [multiplexed], stricter, errno: 0)
    }
    let isSame = profile["defaultErrnoRet"]?.unsigned == UInt64(ENOSYS)
    return refusal(of: [multiplexed], errno: isSame ? EAFNOSUPPORT : ENOSYS)
  }

  /// The families, in one order.
  private static var families: [UInt64] {
    SocketFamilyFilter.allowedFamilies.map(UInt64.init).sorted()
  }

  /// A rule that lets `name` pass, as rules for the families that may, and that it is for.
  private static func forAllowedFamilies(
    _ rule: JSONValue, _ name: String
  ) throws(ContainerRefusal) -> [JSONValue] {
    var conditions: [SeccompCondition] = []
    for argument in rule["args"]?.elements ?? [] {
      guard let condition = SeccompCondition(argument) else {
        throw .otherSeccomp("a condition of \(name) cannot be understood")
      }
      conditions.append(condition)
    }
    // runc and crun take several conditions for one argument to mean any of them, not all.
    let isAny = Set(conditions.map(\.index)).count < conditions.count
    let alternatives = isAny ? conditions.map { [$0] } : [conditions]
    return alternatives.flatMap { alternative in
      let (onFamily, others) = (
        alternative.filter { $0.index == 0 }, alternative.filter { $0.index != 0 }
      )
      return families.filter { family in onFamily.allSatisfy { $0.holds(for: family) } }.map {
        var new = rule
        new["names"] = .strings([name])
        new["args"] = .array([.family(equalTo: $0)] + others.map(\.json))
        return new
      }
    }
  }

  /// Every value of a 32-bit family but the allowed ones, as `SocketFamilyFilter` has them: a family
  /// below 32 by its value, any other by a bit that it has. The upper half of the register is not
  /// looked at, as the kernel does not.
  private static func forForbiddenFamilies(_ action: String) -> [JSONValue] {
    let small = (UInt64(0)..<32).filter { !families.contains($0) }
      .map { (mask: UInt64(UInt32.max), value: $0) }
    let large = (5..<32).map { (mask: UInt64(1) << $0, value: UInt64(1) << $0) }
    return (small + large).map { comparison in
      var rule = refusal(of: filterable, action, errno: EAFNOSUPPORT)
      rule["args"] = .array([
        .with([
          "index": .integer(0), "value": .integer(comparison.mask),
          "valueTwo": .integer(comparison.value), "op": .string("SCMP_CMP_MASKED_EQ"),
        ])
      ])
      return rule
    }
  }

  private static func refusal(
    of names: [String], _ action: String = SeccompAction.errno, errno: Int32
  ) -> JSONValue {
    var rule = JSONValue.with(["names": .strings(names), "action": .string(action)])
    if action == SeccompAction.errno { rule["errnoRet"] = .integer(errno) }
    return rule
  }
}

extension JSONValue {
  fileprivate static func family(equalTo family: UInt64) -> JSONValue {
    .with([
      "index": .integer(0), "value": .integer(family), "op": .string("SCMP_CMP_EQ"),
    ])
  }
}
