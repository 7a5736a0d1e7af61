/// An option by which a container shares something with the host or with another container, or has
/// something of the host's, and what is decided of it. `Documentation/container-options.md` has them all.
struct ContainerOption: Sendable {
  enum Group: String, CaseIterable {
    case namespaces = "Namespaces"
    case mounts = "Files of the host"
    case devices = "Devices"
    case capabilities = "Capabilities"
    case security = "Security options"
    case other = "Other"
  }

  enum Decision: Sendable {
    /// The container is not made, and the engine shows a line with these words.
    case refused(String)
    /// It is made, and nothing gets out by the option: why.
    case harmless(String)
  }

  /// The options for one engine; nil where it has none.
  typealias Words = (@Sendable (OptionStage) -> [String])?

  let group: Group
  /// The option, in words.
  let title: String
  let decision: Decision
  let podman, docker, containerd: Words
  /// Where the container must not be able to write.
  var protected: [String] = []

  init(
    _ group: Group, _ title: String, _ decision: Decision, podman: Words = nil, docker: Words = nil,
    containerd: Words = nil, protected: [String] = []
  ) {
    (self.group, self.title, self.decision) = (group, title, decision)
    (self.podman, self.docker, self.containerd) = (podman, docker, containerd)
    self.protected = protected
  }

  /// One that podman and Docker have in the same words.
  init(
    _ group: Group, _ title: String, _ decision: Decision, _ first: String, _ more: String...,
    containerd: [String]? = nil
  ) {
    self.init(
      group, title, decision, podman: Self.words([first] + more),
      docker: Self.words([first] + more),
      containerd: Self.words(containerd))
  }

  private static func words(_ words: [String]?) -> Words {
    guard let words else { return nil }
    return { _ in words }
  }

  /// A bind mount of a path of the host on /x.
  static func mount(
    _ title: String, _ decision: Decision, readOnly: Bool = false, protected: [String] = [],
    _ path: @escaping @Sendable (OptionStage) -> String
  ) -> ContainerOption {
    let volume: Words = { ["--volume", "\(path($0)):/x" + (readOnly ? ":ro" : "")] }
    return ContainerOption(
      .mounts, title, decision, podman: volume, docker: volume,
      containerd: {
        let options = "rbind" + (readOnly ? ":ro" : ":rw")
        // All of ctr's containers here have one root, with what runc makes there to mount on.
        let target = $0.isDirectory(path($0)) ? "/x" : "/x-file"
        return ["--mount", "type=bind,src=\(path($0)),dst=\(target),options=\(options)"]
      }, protected: protected)
  }

  /// What the table says of the decision.
  var words: String {
    switch decision {
    case .refused(let words): "refused: ... \(words) ..."
    case .harmless(let why): why
    }
  }

  static let all = namespaces + mounts + devices + capabilities + security + other
}
