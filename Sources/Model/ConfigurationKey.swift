/// A key of a runner's configuration: all that is said of it anywhere, once. `Documentation/configuration.md` is
/// made from these, as are what the daemon checks and what `istbpf report` shows.
public struct ConfigurationKey: Sendable, Hashable, Encodable {
  /// What the value of a key is.
  public enum Kind: String, Sendable, Encodable {
    case text, texts, number, flag

    /// The kind as a message names it.
    public var name: String {
      switch self {
      case .text: "a text"
      case .texts: "a list of texts"
      case .number: "a whole number"
      case .flag: "true or false"
      }
    }
  }

  /// When a new value is taken over.
  public enum Effect: String, Sendable, Encodable {
    /// By `systemctl reload`, which is SIGHUP.
    case reload
    /// By the next daemon.
    case restart
    /// By the next container that starts: `istbpf-oci` reads it, and not the daemon.
    case container

    /// As the documentation says it.
    public var text: String {
      switch self {
      case .reload: "reload"
      case .restart: "restart"
      case .container: "next container"
      }
    }
  }

  /// The name, with the sections before it: `tunnel.address`.
  public let name: String
  /// What its value is.
  public let kind: Kind
  /// What holds where nothing is said, as it would be said; nil where that is nothing at all.
  public let standard: String?
  /// The unit of its value; nil where it has none.
  public let unit: String?
  /// A value that is not the standard one, as the environment would have it.
  public let example: String
  /// When a new value is taken over.
  public let effect: Effect
  /// Whether `istbpf report` shows the value: only where nothing in it is secret, by this being said here.
  public let isReported: Bool
  /// What it is for.
  public let sentence: String

  /// The variable that goes over it.
  public var variable: String { ConfigurationKeys.variable(of: name) }

  fileprivate init(
    _ name: String, _ kind: Kind, _ standard: String? = nil, unit: String? = nil, example: String,
    effect: Effect = .restart, isReported: Bool = false, _ sentence: String
  ) {
    (self.name, self.kind, self.standard, self.unit) = (name, kind, standard, unit)
    (self.example, self.effect, self.isReported) = (example, effect, isReported)
    self.sentence = sentence
  }

  private enum CodingKeys: String, CodingKey {
    case name, kind, standard = "default", unit, example, variable, effect, sentence
  }

  /// For `istbpfd --dump-configuration-keys`.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(name, forKey: .name)
    try container.encode(kind.name, forKey: .kind)
    try container.encodeIfPresent(standard, forKey: .standard)
    try container.encodeIfPresent(unit, forKey: .unit)
    try container.encode(example, forKey: .example)
    try container.encode(variable, forKey: .variable)
    try container.encode(effect.text, forKey: .effect)
    try container.encode(sentence, forKey: .sentence)
  }
}

extension ConfigurationKeys {
  /// Every key, in the order of the documentation.
  public static let all: [ConfigurationKey] = [
    ConfigurationKey(
      "runnerName", .text, example: "r1", isReported: true,
      "The runner's name, `WARP_RUNNER`, which its certificate must have; without it the host's. "
        + "`--runner-name` goes over it."),
    ConfigurationKey(
      "range", .text, AddressPlan.standard.description, example: "10.64.0.0/15", isReported: true,
      "The range that every deployment has, a /15; the same on all runners. `--range` goes over it."
    ),
    ConfigurationKey(
      "logLevel", .text, "info", example: "debug", effect: .reload, isReported: true,
      "How much is logged: trace, debug, info, notice, warning, error. `--log-level` goes over it."),
    ConfigurationKey(
      "cluster", .text, example: "prod", isReported: true,
      "The cluster, as the certificates of its runners name it; without it the runner is alone."),
    ConfigurationKey(
      "selection", .text, "local-first", example: "spread", effect: .reload, isReported: true,
      "Where connections go: `local-first` to instances of this runner while one of them listens, `spread` "
        + "to those of all runners alike."),
    ConfigurationKey(
      "metrics.address", .text, example: "127.0.0.1:9464", isReported: true,
      "Where metrics and health are served over HTTP, on loopback; without it nowhere."),
    ConfigurationKey(
      "etcd.endpoints", .texts, example: "https://192.0.2.9:2379,https://192.0.2.10:2379",
      isReported: true,
      "The URLs of the cluster's etcd."),
    ConfigurationKey(
      "etcd.authorities", .text, example: "/etc/istbpf/etcd-ca.crt", isReported: true,
      "The PEM file of the authorities by which etcd's certificate is checked; without it the system's."
    ),
    ConfigurationKey(
      "etcd.certificate", .text, example: "/etc/istbpf/etcd.crt", isReported: true,
      "The PEM file of the certificate by which etcd knows the runner."),
    ConfigurationKey(
      "etcd.key", .text, example: "/etc/istbpf/etcd.key", isReported: true,
      "The PEM file of that certificate's private key."),
    ConfigurationKey(
      "etcd.user", .text, example: "r1",
      "The user by which etcd knows the runner, where it is none by certificate."),
    ConfigurationKey("etcd.password", .text, example: "a-password", "That user's password."),
    ConfigurationKey(
      "etcd.leaseSeconds", .number, "10", unit: "seconds, 1 to 3600", example: "20",
      isReported: true,
      "After how long without a sign of it the others take this runner for gone."),
    ConfigurationKey(
      "etcd.callTimeoutSeconds", .number, "3", unit: "seconds, 1 to 3600", example: "5",
      isReported: true,
      "How long etcd may take to answer."),
    ConfigurationKey(
      "etcd.lossConfirmationSeconds", .number, "5", unit: "seconds, 1 to 3600", example: "60",
      isReported: true,
      "How long instances are kept that vanish all at once, before a second look decides."),
    ConfigurationKey(
      "tunnel.address", .text, example: "192.0.2.7:7443", isReported: true,
      "Where this runner takes tunnels, and what it tells the other runners."),
    ConfigurationKey(
      "tunnel.certificate", .text, example: "/etc/istbpf/r1.crt", effect: .reload, isReported: true,
      "The PEM file of the runner's certificate (`istbpf ca issue`)."),
    ConfigurationKey(
      "tunnel.key", .text, example: "/etc/istbpf/r1.key", effect: .reload, isReported: true,
      "The PEM file of that certificate's private key."),
    ConfigurationKey(
      "tunnel.authorities", .text, example: "/etc/istbpf/ca.crt", effect: .reload, isReported: true,
      "The PEM file of the authorities by which other runners' certificates are checked."),
    ConfigurationKey(
      "tunnel.denied", .text, "/etc/istbpf/denied", example: "/etc/istbpf/denied-serials",
      effect: .reload,
      isReported: true,
      "The file of serial numbers of certificates that are denied, one a line (`istbpf ca revoke`)."
    ),
    ConfigurationKey(
      "tunnel.kernelTLS", .flag, "true", example: "false", isReported: true,
      "Whether the kernel encrypts tunnels where it can; else istbpf-relay does."),
    ConfigurationKey(
      "frontDoor.domain", .text, example: "example.org", isReported: true,
      "The domain that services' public URLs end with; without it there is no front door."),
    ConfigurationKey(
      "frontDoor.certificates", .text, example: "/etc/istbpf/front-door", isReported: true,
      "The directory of PEM files, each a certificate and its key, that HAProxy serves."),
    ConfigurationKey(
      "frontDoor.https", .text, "0.0.0.0:443", example: "192.0.2.7:8443", isReported: true,
      "Where HAProxy takes https."),
    ConfigurationKey(
      "frontDoor.http", .text, "0.0.0.0:80", example: "192.0.2.7:8080", isReported: true,
      "Where HAProxy takes http, to redirect it; an empty text for nowhere."),
    ConfigurationKey(
      "egress.resolvConf", .text, "/etc/resolv.conf", example: "/etc/istbpf/resolv.conf",
      isReported: true,
      "The file that names the servers by which names outside are looked up."),
    ConfigurationKey(
      "egress.keepFormerSeconds", .number, "300", unit: "seconds, 1 to 86400", example: "600",
      isReported: true,
      "How long an address stays open that a name outside has no more."),
    ConfigurationKey(
      "egress.keepOnFailureSeconds", .number, "3600", unit: "seconds, 1 to 604800", example: "7200",
      isReported: true,
      "How long the addresses of a name outside stay open while its resolver fails."),
    ConfigurationKey(
      "egress.relayConnections", .number, "2048", example: "4096", isReported: true,
      "How many connections outside one instance without an interface of its own may have, 1 to 65536."
    ),
    ConfigurationKey(
      "relay.drainSeconds", .number, "0", unit: "seconds, 0 to 604800", example: "3600",
      isReported: true,
      "How long an istbpf-relay goes on with connections that the next one cannot take over; 0 for as long as they last."
    ),
    ConfigurationKey(
      "oci.runtime", .text, example: "/usr/bin/crun", effect: .container, isReported: true,
      "The runtime behind `istbpf-oci`; without it the first of runc and crun that there is."),
    ConfigurationKey(
      "oci.variables", .flag, "true", example: "false", effect: .container, isReported: true,
      "Whether variables, which an image may set, can name a container's deployment and service."),
  ]

  /// The key of that name; nil where there is none.
  public static func key(_ name: String) -> ConfigurationKey? { all.first { $0.name == name } }
}

extension ConfigurationKeys {
  /// The tables of `Documentation/configuration.md`, one a section.
  public static var markdown: String {
    var text = ""
    for section in sections {
      text += "### \(section.isEmpty ? "Of the runner" : "`\(section)`")\n\n"
      text += "| key | value | default | taken over by | what for |\n|---|---|---|---|---|\n"
      for key in all where Self.section(of: key.name) == section {
        let name = key.name.dropFirst(section.isEmpty ? 0 : section.count + 1)
        let value = key.kind.name + (key.unit.map { ", \($0)" } ?? "")
        text += "| `\(name)`<br>`\(key.variable)` | \(value), such as `\(key.example)` "
        text +=
          "| \(key.standard.map { "`\($0)`" } ?? "-") | \(key.effect.text) | \(key.sentence) |\n"
      }
      text += "\n"
    }
    return text
  }

  private static var sections: [String] {
    all.reduce(into: []) { sections, key in
      let section = section(of: key.name)
      if !sections.contains(section) { sections.append(section) }
    }
  }

  private static func section(of key: String) -> String {
    key.lastIndex(of: ".").map { String(key[..<$0]) } ?? ""
  }
}
