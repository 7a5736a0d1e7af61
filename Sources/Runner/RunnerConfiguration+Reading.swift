import Configuration
import Foundation
import FrontDoor
import LinuxSystem
import Logging
import Model
import RelayControl
import SystemPackage

extension RunnerConfiguration {
  /// What the daemon's command line says, which goes over file and environment; nil where it says nothing.
  public struct Options: Sendable {
    /// `runnerName`.
    public var runnerName: String?
    /// `range`.
    public var range: String?
    /// `logLevel`.
    public var logLevel: String?

    /// Options as the command line has them.
    public init(runnerName: String? = nil, range: String? = nil, logLevel: String? = nil) {
      (self.runnerName, self.range, self.logLevel) = (runnerName, range, logLevel)
    }

    fileprivate func value(of key: String) -> String? {
      ["runnerName": runnerName, "range": range, "logLevel": logLevel][key] ?? nil
    }
  }

  /// Reads what the file, JSON, says, over which the environment goes: `etcd.endpoints` is
  /// `ISTBPF_ETCD_ENDPOINTS`. A file that is nil is the standard one, which may be missing; another has
  /// been asked for.
  ///
  /// Throws `InvalidConfiguration` or `ConfigurationFault`.
  public static func read(
    file: String?, options: Options = Options(), installation: Installation,
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) async throws -> RunnerConfiguration {
    let path = file ?? standardFile
    let json = try contents(of: file)
    // The reader itself passes over what it does not know, and takes the default for a value that is
    // of another kind.
    if let json { try ConfigurationKeys.check(json: json, file: path) }
    try ConfigurationKeys.check(environment: environment)
    let provider: FileProvider<JSONSnapshot>
    do {
      provider = try await FileProvider(filePath: FilePath(path), allowMissing: true)
    } catch {
      throw InvalidConfiguration(key: path, problem: "is no JSON that can be read: \(error)")
    }
    guard try contents(of: file) == json else {
      throw InvalidConfiguration(key: path, problem: "changed while it was read: try again")
    }
    let reader = ConfigReader(providers: [
      EnvironmentVariablesProvider(environmentVariables: environment).prefixKeys(with: "istbpf"),
      provider,
    ])
    do {
      return try RunnerConfiguration(reader, options, installation)
    } catch let error as InvalidConfiguration {
      guard ConfigurationKeys.key(error.key) != nil else { throw error }
      throw error.at(
        ConfigurationKeys.place(
          of: error.key, json: json ?? [], file: path, environment: environment))
    }
  }

  private init(_ reader: ConfigReader, _ options: Options, _ installation: Installation) throws {
    func text(_ key: String) -> String? {
      options.value(of: key) ?? reader.string(forKey: ConfigKey(key))
    }
    let name = text("runnerName") ?? ProcessInfo.processInfo.hostName
    guard !name.isEmpty else {
      throw InvalidConfiguration(key: "runnerName", problem: "is empty")
    }
    let range = text("range") ?? AddressPlan.standard.description
    guard let plan = AddressPlan(cidr: range) else {
      throw InvalidConfiguration(
        key: "range",
        problem:
          "\(range) is no range: a /15 on its boundary is needed, such as \(AddressPlan.standard)")
    }
    let level = text("logLevel") ?? Logger.Level.info.rawValue
    guard let logLevel = Logger.Level(rawValue: level) else {
      let known = Logger.Level.allCases.map(\.rawValue)
      throw InvalidConfiguration(
        key: "logLevel", problem: "is \(level), and can be \(known.joined(separator: ", "))")
    }
    self.init(
      installation: installation, plan: plan, runnerName: name,
      metricsAddress: try MetricsAddress.read(reader),
      cluster: try ClusterConfiguration.read(reader, runner: name, installation: installation),
      egress: try EgressConfiguration.read(reader),
      frontDoor: try FrontDoorSettings.read(reader), logLevel: logLevel)
    if let seconds = reader.int(forKey: "relay.drainSeconds") {
      guard (0...604_800).contains(seconds) else {
        throw InvalidConfiguration(
          key: "relay.drainSeconds", problem: "\(seconds) is not between 0 and 604800")
      }
      relayDrainSeconds = UInt32(seconds)
    }
    values = Dictionary(
      uniqueKeysWithValues: ConfigurationKeys.all.map { key in
        (key.name, options.value(of: key.name) ?? Self.value(of: key, reader) ?? key.standard ?? "")
      })
  }

  private static func value(of key: ConfigurationKey, _ reader: ConfigReader) -> String? {
    let name = ConfigKey(key.name)
    return switch key.kind {
    case .text: reader.string(forKey: name, isSecret: !key.isReported)
    case .texts: reader.stringArray(forKey: name, isSecret: !key.isReported)?.joined(separator: ",")
    case .number: reader.int(forKey: name).map { "\($0)" }
    case .flag: reader.bool(forKey: name).map { "\($0)" }
    }
  }

  /// Nil where it is the standard one, and missing.
  private static func contents(of file: String?) throws -> [UInt8]? {
    let path = file ?? standardFile
    guard SmallFile.exists(path) else {
      guard file == nil else {
        throw InvalidConfiguration(key: path, problem: "does not exist: is --config mistyped?")
      }
      return nil
    }
    return try SmallFile.bytes(of: path)
  }

  /// The file that is read where none is named.
  public static let standardFile = "/etc/istbpf/config.json"
}

extension RunnerConfiguration {
  /// Everything that is wrong with a configuration, a line for each, by its file and line or its variable; the
  /// files that it names are read, and nothing is changed.
  public static func problems(
    file: String?, options: Options = Options(), installation: Installation,
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) async -> [String] {
    let path = file ?? standardFile
    do {
      let json = try contents(of: file) ?? []
      let faults =
        (json.isEmpty && file == nil && !SmallFile.exists(path)
          ? [] : ConfigurationKeys.faults(json: json, file: path))
        + ConfigurationKeys.faults(environment: environment)
      guard faults.isEmpty else { return faults.map(\.description) }
      let configuration = try await read(
        file: file, options: options, installation: installation, environment: environment)
      return configuration.problemsOfFiles().map { error in
        "\(error.at(ConfigurationKeys.place(of: error.key, json: json, file: path, environment: environment)))"
      }
    } catch { return ["\(error)"] }
  }

  /// What of the files that it names cannot be used.
  private func problemsOfFiles() -> [InvalidConfiguration] {
    var problems: [InvalidConfiguration] = []
    func attempt(_ key: String, _ body: () throws -> Void) {
      do { try body() } catch let error as InvalidConfiguration { problems.append(error) } catch let
        error as ConfigurationProblem
      {
        problems.append(InvalidConfiguration(key: error.key, problem: error.problem))
      } catch {
        problems.append(InvalidConfiguration(key: key, problem: "cannot be used: \(error)"))
      }
    }
    if let cluster {
      let files = Istbpf_Relay_V1_IdentityFiles(cluster.files)
      attempt("tunnel.certificate") { _ = try files.identity(of: cluster.identity) }
      attempt("tunnel.denied") { _ = try files.deniedSerials() }
      for (key, path) in [
        ("etcd.authorities", cluster.etcd.tls.caFile), ("etcd.key", cluster.etcd.tls.keyFile),
        ("etcd.certificate", cluster.etcd.tls.certificateFile),
      ] {
        guard let path else { continue }
        attempt(key) { _ = try SmallFile.bytes(of: path) }
      }
    }
    if let frontDoor {
      attempt("frontDoor.certificates") {
        guard
          try DirectoryListing.names(in: frontDoor.certificates).contains(where: {
            $0.hasSuffix(".pem")
          })
        else {
          throw InvalidConfiguration(
            key: "frontDoor.certificates", problem: "\(frontDoor.certificates) has no .pem file")
        }
      }
    }
    if let name = values["egress.resolvConf"], !SmallFile.exists(name) {
      problems.append(
        InvalidConfiguration(key: "egress.resolvConf", problem: "\(name) does not exist"))
    }
    return problems
  }
}

/// What a configuration lacks or has wrong.
public struct InvalidConfiguration: Error, CustomStringConvertible {
  /// The key, or the whole file.
  public let key: String
  /// What is wrong with its value.
  public let problem: String
  /// The file and the line, or the variable; nil where that is not known.
  public private(set) var place: String?
  /// What to tell people.
  public var description: String { "\(place ?? "configuration"): \(key) \(problem)" }

  /// A value of the key `key`, or a whole file, that is wrong.
  init(key: String, problem: String) { (self.key, self.problem) = (key, problem) }

  /// The same, with where it stands.
  func at(_ place: String) -> InvalidConfiguration {
    var error = self
    error.place = place
    return error
  }
}
