import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Glibc
import Registry

/// The connection to one server of etcd: made with the first call, and again after it broke.
final class EtcdConnection: Sendable {
  typealias Transport = HTTP2ClientTransport.Posix

  let endpoint: EtcdEndpoint
  let keyValues: Etcdserverpb_KV.Client<Transport>
  let watch: Etcdserverpb_Watch.Client<Transport>
  let lease: Etcdserverpb_Lease.Client<Transport>
  let auth: Etcdserverpb_Auth.Client<Transport>

  private let client: GRPCClient<Transport>
  private let running: Task<Void, Never>

  /// - Throws: `RegistryError.unavailable` where a file of `tls` cannot be used.
  init(_ endpoint: EtcdEndpoint, tls: EtcdConfiguration.TLS) throws {
    self.endpoint = endpoint
    var configuration = Transport.Config.defaults
    configuration.backoff.initial = .milliseconds(100)
    configuration.backoff.max = .seconds(2)
    // A server that vanished without a FIN is found in 13 s. etcd takes pings every 5 s for an
    // attack (--grpc-keepalive-min-time).
    configuration.connection.maxIdleTime = nil
    configuration.connection.keepalive = .init(
      time: .seconds(10), timeout: .seconds(3), allowWithoutCalls: true)
    let security = try Self.security(of: endpoint, tls)
    do {
      client = GRPCClient(
        transport: try Transport(
          target: endpoint.target, transportSecurity: security, config: configuration))
    } catch {
      throw RegistryError.unavailable(
        file: [tls.caFile, tls.certificateFile, tls.keyFile].compactMap(\.self)
          .joined(separator: ", "),
        detail: "TLS to etcd cannot be set up with it: \(Causes.text(of: error))")
    }
    keyValues = Etcdserverpb_KV.Client(wrapping: client)
    watch = Etcdserverpb_Watch.Client(wrapping: client)
    lease = Etcdserverpb_Lease.Client(wrapping: client)
    auth = Etcdserverpb_Auth.Client(wrapping: client)
    // Ends with `close`; what goes wrong before is the error of each call.
    running = Task { [client] in try? await client.runConnections() }
  }

  deinit { running.cancel() }

  /// Ends the connection and every call on it.
  func close() async {
    // First the calls that wait for the connection: that `running` is cancelled does not end these, and
    // a call that was cancelled just before it began to wait would do so for ever (grpc-swift-nio-transport
    // 2.9, GRPCChannel.enqueue).
    client.beginGracefulShutdown()
    running.cancel()
    await running.value
  }

  private static func security(
    of endpoint: EtcdEndpoint, _ tls: EtcdConfiguration.TLS
  ) throws -> Transport.TransportSecurity {
    guard endpoint.isSecure else { return .plaintext }
    var configuration = Transport.TransportSecurity.TLS.defaults
    for file in [tls.caFile, tls.certificateFile, tls.keyFile].compactMap(\.self)
    where access(file, R_OK) != 0 {
      throw RegistryError.unavailable(file: file, detail: String(cString: strerror(errno)))
    }
    if let ca = tls.caFile {
      configuration.trustRoots = .certificates([.file(path: ca, format: .pem)])
    }
    if let certificate = tls.certificateFile {
      guard let key = tls.keyFile else {
        throw RegistryError.unavailable(file: certificate, detail: "its private key is not named")
      }
      configuration.certificateChain = [.file(path: certificate, format: .pem)]
      configuration.privateKey = .file(path: key, format: .pem)
    }
    return .tls(configuration)
  }
}
