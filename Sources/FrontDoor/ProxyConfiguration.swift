/// What HAProxy is told, as a value: its text is a pure function of it.
struct ProxyConfiguration: Hashable, Sendable {
  let settings: FrontDoorSettings
  /// In the order of their hosts.
  let services: [PublicService]

  init(_ settings: FrontDoorSettings, _ services: [PublicService]) {
    self.settings = settings
    self.services = services.sorted { $0.label < $1.label }
  }

  /// Everything but which services can be reached just now, which HAProxy is told while it runs.
  var structure: ProxyConfiguration {
    ProxyConfiguration(
      settings,
      services.map { service in
        var service = service
        service.isAvailable = false
        return service
      })
  }

  /// The map of host names to backends.
  var hosts: String {
    services.map { "\($0.label).\(settings.domain) \($0.backend)\n" }.joined()
  }

  /// The configuration file.
  func text(_ generation: FrontDoorPaths.Generation, _ paths: FrontDoorPaths) -> String {
    """
    global
      description \(generation.description)
      stats socket \(paths.workerSocket) mode 600 level admin expose-fd listeners
      # A machine without a limit of its own would have a table of a thousand million entries made.
      fd-hard-limit 100000
      # How long what a reload leaves behind may go on: WebSockets.
      hard-stop-after 1h
      ssl-default-bind-options ssl-min-ver TLSv1.2

    defaults
      mode http
      timeout connect 1s
      timeout client 60s
      timeout server 60s
      timeout http-request 10s
      timeout http-keep-alive 60s
      timeout client-fin 10s
      timeout server-fin 10s
      timeout tunnel 1h
      # Each request gets an instance of its own choice, and none meets a connection that its service
      # has just closed.
      option http-server-close

    \(frontends(generation))
    \(services.map { backend($0) }.joined(separator: "\n"))
    """
  }

  private func frontends(_ generation: FrontDoorPaths.Generation) -> String {
    var text = ""
    if let http = settings.http {
      let port = settings.https.port == 443 ? "" : ":\(settings.https.port)"
      text += """
        frontend http
          bind \(http.bindText)
        \(admission(generation))
          http-request redirect code 308 prefix https://%[var(txn.host)]\(port)


        """
    }
    return text + """
      frontend https
        bind \(settings.https.bindText) ssl crt \(generation.certificates) alpn h2,http/1.1
      \(admission(generation))
        # What the client says of itself is not believed.
        http-request del-header Forwarded
        http-request del-header X-Real-IP
        http-request del-header Proxy
        http-request set-header X-Forwarded-For %[src]
        http-request set-header X-Forwarded-Proto https
        http-request set-header X-Forwarded-Port %[dst_port]
        http-request set-header X-Forwarded-Host %[req.hdr(host)]
        use_backend %[var(txn.host),map(\(generation.hosts))]

      """
  }

  /// Who is asked for: 421 for a name outside the domain, 404 for one in it that no public service has.
  private func admission(_ generation: FrontDoorPaths.Generation) -> String {
    """
      http-request set-var(txn.host) req.hdr(host),field(1,:),lower,rtrim(.)
      http-request return status 421 unless { var(txn.host) -m end .\(settings.domain) }
      http-request return status 404 unless { var(txn.host),map(\(generation.hosts)) -m found }
    """
  }

  private func backend(_ service: PublicService) -> String {
    """
    backend \(service.backend)
      server \(PublicService.server) unix@\(service.socketPath)\(service.isAvailable ? "" : " disabled")

    """
  }
}

/// A service with a public name, as the proxy needs to know it.
public struct PublicService: Hashable, Sendable {
  /// The first label of its host name.
  public let label: String
  /// How HAProxy's messages name it: `shop:app`.
  public let backend: String
  /// Where the daemon takes its requests.
  public let socketPath: String
  /// Whether it has an instance: without, HAProxy answers 503 by itself.
  public var isAvailable: Bool

  /// The name of a backend's one server.
  static let server = "relay"

  /// A service from its parts; `backend` is of `a-z A-Z 0-9 - _ . :`.
  public init(label: String, backend: String, socketPath: String, isAvailable: Bool) {
    (self.label, self.backend) = (label, backend)
    (self.socketPath, self.isAvailable) = (socketPath, isAvailable)
  }
}
