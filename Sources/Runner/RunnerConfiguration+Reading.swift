import Configuration
import Foundation
import FrontDoor
import LinuxSystem
import Model
import SystemPackage

extension RunnerConfiguration {
  /// Reads what the file, JSON, says, over which the environment goes: `etcd.endpoints` is
  /// `ISTBPF_ETCD_ENDPOINTS`. A file that is nil is the standard one, which may be missing; another has
  /// been asked for.
  ///
  /// Throws `InvalidConfiguration` or `ConfigurationFault`.
  public static func read(
    file: String?, runnerName: String, plan: AddressPlan, installation: Installation
  ) async throws -> RunnerConfiguration {
    let fileProvider: FileProvider<JSONSnapshot>
    if let file, !SmallFile.exists(file) {
      throw InvalidConfiguration(key: file, problem: "does not exist: is --config mistyped?")
    }
    let file = file ?? standardFile
    // The reader itself passes over what it does not know, and takes the default for a value that is
    // of another kind.
    if SmallFile.exists(file) {
      try ConfigurationKeys.check(json: try SmallFile.bytes(of: file), file: file)
    }
    try ConfigurationKeys.check(environment: ProcessInfo.processInfo.environment)
    do {
      fileProvider = try await FileProvider(filePath: FilePath(file), allowMissing: true)
    } catch {
      throw InvalidConfiguration(key: file, problem: "is no JSON that can be read: \(error)")
    }
    let reader = ConfigReader(providers: [
      EnvironmentVariablesProvider().prefixKeys(with: "istbpf"), fileProvider,
    ])
    return RunnerConfiguration(
      installation: installation, plan: plan, runnerName: runnerName,
      metricsAddress: try MetricsAddress.read(reader),
      cluster: try ClusterConfiguration.read(
        reader, runner: runnerName, installation: installation),
      egress: try EgressConfiguration.read(reader),
      frontDoor: try FrontDoorSettings.read(reader))
  }

  /// The file that is read where none is named.
  public static let standardFile = "/etc/istbpf/config.json"
}

/// What a configuration lacks or has wrong.
public struct InvalidConfiguration: Error, CustomStringConvertible {
  /// The key, or the whole file.
  public let key: String
  /// What is wrong with its value.
  public let problem: String
  /// What to tell people.
  public var description: String { "configuration: \(key) \(problem)" }
}
