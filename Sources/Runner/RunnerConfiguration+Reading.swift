import Configuration
import FrontDoor
import Model
import SystemPackage

extension RunnerConfiguration {
  /// Reads what the file, JSON, says, over which the environment goes: `etcd.endpoints` is
  /// `ISTBPF_ETCD_ENDPOINTS`. The file may be missing.
  ///
  /// Throws `InvalidConfiguration`.
  public static func read(
    file: String, runnerName: String, plan: AddressPlan, installation: Installation
  ) async throws -> RunnerConfiguration {
    let fileProvider: FileProvider<JSONSnapshot>
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
      frontDoor: try FrontDoorSettings.read(reader))
  }
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
