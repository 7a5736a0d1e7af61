import Model

/// What HAProxy is told, as a value: its text is a pure function of it.
///
/// Each request passes HAProxy twice: a frontend of the host's ports, and behind it, over a Unix socket,
/// one more frontend that leads to the services. For HAProxy tells a client to send a request again
/// whose connection to the server ended without an answer, if it is not the first of the client's
/// connection, or comes in HTTP/2 (REFUSED_STREAM). But the instance may have had the request, and may
/// have ended by it. The second frontend is given each request on a connection of its own, where it is
/// the first, and so answers 502.
struct ProxyConfiguration: Hashable, Sendable {
  let settings: FrontDoorSettings
  /// In the order of their hosts.
  let services: [PublicService]
  /// How many descriptors HAProxy may have.
  let descriptors: Int

  init(_ settings: FrontDoorSettings, _ services: [PublicService], descriptors: Int = 100_000) {
    self.settings = settings
    self.services = services.sorted { $0.label < $1.label }
    // A machine without a limit of its own would have a table of a thousand million entries made.
    self.descriptors = min(descriptors, 100_000)
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
      fd-hard-limit \(descriptors)
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
      # Only a connection that was not made is tried again: what has been sent is never sent again.
      retries 5
      retry-on conn-failure
      \(error(502, "Bad Gateway: the front door has failed within."))
      \(error(503, "Service Unavailable: this front door takes no more requests just now."))
      \(error(504, "Gateway Timeout: the front door has failed within."))

    \(frontends(generation))
    # Every backend behind it has a timeout of its own, none longer than these.
    backend services
      timeout server \(Self.longest)s
      timeout tunnel \(Self.longest)s
      server services unix@\(paths.servicesSocket)

    frontend services
      bind unix@\(paths.servicesSocket) mode 600
      http-request set-var(txn.host) \(Self.host)
      use_backend %[var(txn.host),map(\(generation.hosts))]

    \(services.map { backend($0) }.joined(separator: "\n"))
    """
  }

  /// Seconds: more than any service's timeout.
  private static let longest = RequestTimeout.allowed.upperBound + 3600

  /// The host that a request is for, as the map of hosts has it.
  private static let host = "req.hdr(host),field(1,:),lower,rtrim(.)"

  private func frontends(_ generation: FrontDoorPaths.Generation) -> String {
    var text = ""
    if let http = settings.http {
      let port = settings.https.port == 443 ? "" : ":\(settings.https.port)"
      text += """
        frontend http
          bind \(http.bindText)
          maxconn \(max(1, descriptors / 10))
        \(admission(generation))
          http-request redirect code 308 prefix https://%[var(txn.host)]\(port)


        """
    }
    // A request takes four descriptors, and two connections of those that HAProxy counts: clients that
    // only wait must not take the places of the second frontend.
    return text + """
      frontend https
        bind \(settings.https.bindText) ssl crt \(generation.certificates) alpn h2,http/1.1
        maxconn \(max(1, descriptors / 5))
      \(admission(generation))
        # What the client says of itself is not believed.
      \(ClientClaims.rules)
        http-request set-header X-Forwarded-For %[src]
        http-request set-header X-Forwarded-Proto https
        http-request set-header X-Forwarded-Port %[dst_port]
        http-request set-header X-Forwarded-Host %[req.hdr(host)]
        default_backend services

      """
  }

  /// Who is asked for: 421 for a name outside the domain, 404 for one in it that no public service has.
  private func admission(_ generation: FrontDoorPaths.Generation) -> String {
    """
      http-request set-var(txn.host) \(Self.host)
      http-request return \(answer(421, "Misdirected Request: this front door serves names below \(settings.domain).")) unless { var(txn.host) -m end .\(settings.domain) }
      http-request return \(answer(404, "Not Found: \(settings.domain) has no service of this name, or it is private.")) unless { var(txn.host),map(\(generation.hosts)) -m found }
    """
  }

  private func backend(_ service: PublicService) -> String {
    let seconds = service.timeout.seconds
    return """
      backend \(service.backend)
        timeout server \(seconds)s
        timeout tunnel \(max(3600, seconds))s
        \(error(502, "Bad Gateway: an instance of \(service.name) ended the connection before it had answered. The request reached it once, and is not sent again."))
        \(error(503, "Service Unavailable: \(service.name) cannot be reached, since the runner of this front door is being started."))
        \(error(504, "Gateway Timeout: \(service.name) sent nothing for \(seconds) s."))
        server \(PublicService.server) unix@\(service.socketPath)

      """
  }

  private func error(_ status: Int, _ text: String) -> String {
    "http-error \(answer(status, text))"
  }

  /// The answer with a status, and in plain words what it means here.
  private func answer(_ status: Int, _ text: String) -> String {
    "status \(status) content-type text/plain string \"\(status) \(text)\\n\" hdr Cache-Control no-store"
  }
}

/// A service with a public name, as the proxy needs to know it.
public struct PublicService: Hashable, Sendable {
  /// The first label of its host name.
  public let label: String
  /// How answers name it: `shop/app`, of `a-z A-Z 0-9 - _ . /`.
  public let name: String
  /// How HAProxy's messages name it: `shop:app`.
  public let backend: String
  /// Where the daemon takes its requests.
  public let socketPath: String
  /// How long it may be silent.
  public let timeout: RequestTimeout

  /// The name of a backend's one server.
  static let server = "relay"

  /// A service from its parts; `deployment` and `hostName` are of `a-z A-Z 0-9 - _ .`.
  public init(
    label: String, deployment: String, hostName: String, socketPath: String,
    timeout: RequestTimeout
  ) {
    (self.label, self.socketPath, self.timeout) = (label, socketPath, timeout)
    (name, backend) = ("\(deployment)/\(hostName)", "\(deployment):\(hostName)")
  }
}
