import Model

/// Where the etcd is that runners share, who this runner is, and how long things may take.
public struct EtcdConfiguration: Sendable {
  /// How etcd and this runner know each other.
  public struct TLS: Hashable, Sendable {
    /// The file (PEM) with the certificates of the CA that signed etcd's; nil for the system's.
    public var caFile: String?

    /// The file (PEM) with this runner's certificate; nil if etcd asks for none.
    public var certificateFile: String?

    /// The file (PEM) with the certificate's private key.
    public var keyFile: String?

    /// TLS with the files at the given paths.
    public init(
      caFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil
    ) {
      self.caFile = caFile
      self.certificateFile = certificateFile
      self.keyFile = keyFile
    }
  }

  /// A user of etcd's own.
  public struct User: Hashable, Sendable {
    /// The user's name.
    public var name: String

    /// The user's password.
    public var password: String

    /// A user from its parts.
    public init(name: String, password: String) {
      self.name = name
      self.password = password
    }
  }

  /// The servers, tried in turn: `https://HOST[:PORT]`, `http://HOST[:PORT]`; the port is 2379 if none
  /// is given.
  public var endpoints: [String]

  /// The cluster's name: runners with the same one, and the same etcd, share what they know.
  public var cluster: String

  /// This runner's name, the one in its certificate.
  public var runner: String

  /// Where this runner's tunnels are taken, `HOST:PORT`, for the other runners.
  public var address: String

  /// The directory (of root, mode 0700) for what has to outlive a restart: who this runner is, its
  /// ids of deployments, its instances, and the last known state of the cluster.
  public var stateDirectory: String

  /// The version of istbpf that the others are told.
  public var version = istbpfVersion

  /// For `https` endpoints.
  public var tls = TLS()

  /// For an etcd with authentication on; nil where there is none, or the certificate says who it is.
  public var user: User?

  /// How long etcd may take for one call.
  public var callTimeout = Duration.seconds(3)

  /// How long this runner's keys stay without a sign of life of it, in whole seconds. etcd may make
  /// it longer, to one and a half times its election timeout.
  public var leaseSeconds = 10

  /// How long after a sudden loss of more than half of all instances a second listing must confirm it.
  public var lossConfirmation = Duration.seconds(5)

  /// Whether instances go on being shown whose runner's lease ended, until `giveUp` says that they are gone.
  public var keepsStale = false

  /// How long to wait between attempts while etcd is away: from the first to the second, doubled each
  /// time.
  public var retryDelay = Duration.milliseconds(100)...Duration.seconds(2)

  /// A configuration with what has no default.
  public init(
    endpoints: [String], cluster: String, runner: String, address: String, stateDirectory: String
  ) {
    self.endpoints = endpoints
    self.cluster = cluster
    self.runner = runner
    self.address = address
    self.stateDirectory = stateDirectory
  }
}
