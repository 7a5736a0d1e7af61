import Foundation

/// Why a test cannot tell anything here.
public struct RequirementMissing: Error, CustomStringConvertible {
  /// What is missing, and the remedy.
  public let description: String
}

/// Throws unless the tests run as root: a test that did not run is not a pass, so it fails.
public func requireRoot() throws {
  guard geteuid() == 0 else {
    throw RequirementMissing(
      description: "this test makes namespaces and needs root: run sudo ./Scripts/test")
  }
}

/// How many times slower than a machine of its own this one is, as Scripts/vm-test says where it
/// emulates one: what a test measures may take that much longer.
public let slowness =
  ProcessInfo.processInfo.environment["ISTBPF_TEST_SLOWNESS"].flatMap(Int.init) ?? 1
