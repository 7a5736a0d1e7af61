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
