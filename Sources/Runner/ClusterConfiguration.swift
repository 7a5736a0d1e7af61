import Configuration
import Foundation
import LinuxSystem
import Model
import RegistryEtcd
import Relay
import Tunnel

/// What a runner is told that shares its deployments with others: where etcd is, and who it is.
public struct ClusterConfiguration: Sendable {
  /// The registry that the runners share.
  public var etcd: EtcdConfiguration
  /// Where this runner takes tunnels, and what it tells the others.
  public var tunnelAddress: SocketAddress
  /// The cluster and the runner, as its certificate must name them.
  public var identity: RunnerIdentifier
  /// The files that say so.
  public var files: IdentityFiles
  /// Whether the kernel encrypts tunnels where it can.
  public var usesKernelTLS: Bool
  /// Which instances connections from this runner go to.
  public var selection: InstanceSelection

  /// Where the PEM files of `istbpf ca issue` are, and the deny list of `istbpf ca revoke`.
  public struct IdentityFiles: Hashable, Sendable {
    /// This runner's certificate.
    public var certificate: String
    /// Its private key.
    public var key: String
    /// The authority's certificates.
    public var authorities: String
    /// The deny list; may be missing, then nothing is denied.
    public var denied: String

    /// The deny list where the configuration names none.
    static let standardDenied = "/etc/istbpf/denied"
  }
}

extension ClusterConfiguration {
  /// Nil where the configuration names no cluster: then this runner is alone, and SQLite is its
  /// registry.
  ///
  /// Throws `InvalidConfiguration`.
  static func read(
    _ reader: ConfigReader, runner: String, installation: Installation
  ) throws -> ClusterConfiguration? {
    guard let cluster = reader.string(forKey: "cluster") else {
      // Whoever says this does not mean a runner that is alone.
      for key in ["tunnel.address", "etcd.endpoints"]
      where reader.string(forKey: ConfigKey(key)) != nil
        || reader.stringArray(forKey: ConfigKey(key)) != nil
      {
        throw InvalidConfiguration(key: "cluster", problem: "is missing, although there is \(key)")
      }
      return nil
    }
    return try ClusterConfiguration(
      reader, cluster: cluster, runner: runner, installation: installation)
  }

  private init(
    _ reader: ConfigReader, cluster: String, runner: String, installation: Installation
  ) throws {
    func required(_ key: String) throws -> String {
      guard let value = reader.string(forKey: ConfigKey(key)), !value.isEmpty else {
        throw InvalidConfiguration(key: key, problem: "is missing, and a cluster needs it")
      }
      return value
    }
    guard let identity = RunnerIdentifier(cluster: cluster, name: runner) else {
      throw InvalidConfiguration(
        key: "cluster", problem: "\(cluster) and runner \(runner) cannot stand in a certificate")
    }
    let address = try required("tunnel.address")
    guard let tunnelAddress = SocketAddress(address) else {
      throw InvalidConfiguration(
        key: "tunnel.address",
        problem: "\(address) is no IP address with a port, like 192.0.2.7:7443")
    }
    guard let endpoints = reader.stringArray(forKey: "etcd.endpoints"), !endpoints.isEmpty else {
      throw InvalidConfiguration(
        key: "etcd.endpoints", problem: "is missing, and a cluster needs it")
    }
    var etcd = EtcdConfiguration(
      endpoints: endpoints, cluster: cluster, runner: runner, address: address,
      stateDirectory: installation.stateDirectory)
    etcd.tls.caFile = reader.string(forKey: "etcd.authorities")
    etcd.tls.certificateFile = reader.string(forKey: "etcd.certificate")
    etcd.tls.keyFile = reader.string(forKey: "etcd.key")
    if let user = reader.string(forKey: "etcd.user") {
      etcd.user = .init(
        name: user, password: reader.string(forKey: "etcd.password", isSecret: true) ?? "")
    }
    func seconds(_ key: String) throws -> Int? {
      guard let seconds = reader.int(forKey: ConfigKey(key)) else { return nil }
      guard (1...3600).contains(seconds) else {
        throw InvalidConfiguration(key: key, problem: "\(seconds) is not between 1 and 3600")
      }
      return seconds
    }
    if let lease = try seconds("etcd.leaseSeconds") { etcd.leaseSeconds = lease }
    if let patience = try seconds("etcd.callTimeoutSeconds") {
      etcd.callTimeout = .seconds(patience)
    }
    if let delay = try seconds("etcd.lossConfirmationSeconds") {
      etcd.lossConfirmation = .seconds(delay)
    }
    let name = reader.string(forKey: "selection") ?? InstanceSelection.localFirst.rawValue
    guard let selection = InstanceSelection(rawValue: name) else {
      let known = InstanceSelection.allCases.map(\.rawValue).joined(separator: " or ")
      throw InvalidConfiguration(key: "selection", problem: "is \(name), and can be \(known)")
    }
    let denied = reader.string(forKey: "tunnel.denied")
    guard denied != "" else {
      throw InvalidConfiguration(
        key: "tunnel.denied", problem: "is empty: leave it out, or name a file")
    }
    self.selection = selection
    usesKernelTLS = reader.bool(forKey: "tunnel.kernelTLS") ?? true
    self.etcd = etcd
    self.tunnelAddress = tunnelAddress
    self.identity = identity
    files = IdentityFiles(
      certificate: try required("tunnel.certificate"), key: try required("tunnel.key"),
      authorities: try required("tunnel.authorities"),
      denied: denied ?? IdentityFiles.standardDenied)
  }
}
