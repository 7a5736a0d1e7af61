extension ServiceDeclaration {
  /// The keys at the top level of a declaration; others there are the platform's.
  public static let keys = ["container", "deployment", "docker", "private"]
  /// The keys that `deployment` may have; `include` is the platform's.
  public static let deploymentKeys = ["egress", "include", "port", "timeout"]
}

/// The keys of a declaration that are not known: which of ours each may have been meant to be, and
/// what would come of passing it over.
struct DeclarationKeys {
  private static let top = ServiceDeclaration.keys
  private static let deployment = ServiceDeclaration.deploymentKeys

  private let document: DeclarationDocument
  private let deployment: [String: DeclaredValue]

  init(_ document: DeclarationDocument, _ deployment: [String: DeclaredValue]) {
    (self.document, self.deployment) = (document, deployment)
  }

  /// A sentence for each key that looks like a mistake. Throws where the service would be more open
  /// without the key than its author believes, or where nothing sensible can be meant.
  func check() throws(InvalidDeclaration) -> [String] {
    var warnings: [String] = []
    for key in document.root.keys.sorted() where !Self.top.contains(key) {
      if let warning = try warning(top: key) { warnings.append(warning) }
    }
    for key in deployment.keys.sorted() where !Self.deployment.contains(key) {
      warnings.append(try warning(inDeployment: key))
    }
    return warnings
  }

  private func warning(top key: String) throws(InvalidDeclaration) -> String? {
    if key == "services" { return try warningOfServices() }
    try refuse(key, meaning: meaning(of: key), exactly: Self.deployment.contains(key))
    if Self.deployment.contains(key) {
      // The platform may have keys of these names of its own here.
      return key == "include" || key == "timeout"
        ? nil
        : document.warning(
          key, "the key \(quoted(key)) is ignored here: it belongs in \"deployment\"")
    }
    guard let known = meaning(of: key), !["include", "timeout"].contains(known) else { return nil }
    return document.warning(
      key, "unknown key \(quoted(key)), which is ignored; did you mean \"\(place(of: known))\"?")
  }

  private func warning(inDeployment key: String) throws(InvalidDeclaration) -> String {
    let path = "deployment.\(key)"
    // A warning would leave the service with a public URL that its author believes it has not.
    if key == "private" {
      throw document.invalid(path, "belongs beside \"deployment\", not in it")
    }
    try refuse(path, meaning: meaning(of: key), exactly: true)
    let known = Self.deployment.map { "\"\($0)\"" }.joined(separator: ", ")
    let hint =
      nearest(to: key, among: Self.deployment).map { "did you mean \"\($0)\"?" }
      ?? "known are \(known)"
    return document.warning(
      path, "deployment has an unknown key \(quoted(key)), which is ignored; \(hint)")
  }

  /// The key of ours that `key` most likely means.
  private func meaning(of key: String) -> String? {
    if key.lowercased() == "public" { return "private" }
    return nearest(to: key, among: Self.top + Self.deployment)
  }

  /// Refuses a key where the service would be more open without it than its author believes: it has
  /// a public URL, or that goes to another port. What it may reach outside would be less, but that is
  /// cut at once. A key like `ports` at the top level may be the platform's, so that a port is meant only
  /// where it is said `exactly`.
  private func refuse(
    _ path: String, meaning: String?, exactly: Bool
  ) throws(InvalidDeclaration) {
    let isMissing =
      switch meaning {
      case "private": true
      case "deployment": document.root["deployment"] == nil
      case "egress": deployment["egress"] == nil
      case "port": exactly && deployment["port"] == nil && !isPrivate
      default: false
      }
    guard isMissing, let meaning else { return }
    let consequence =
      switch meaning {
      case "private": "the service would have a public URL; \"private\": true keeps it without one"
      case "deployment": "port and egress would be the default ones"
      case "egress": "the service would have no way out"
      default: "its public URL would go to port \(PortNumber.standard)"
      }
    throw document.invalid(
      path,
      "is no key; did you mean \"\(place(of: meaning))\"? Ignored as it is, \(consequence)")
  }

  private func place(of key: String) -> String {
    Self.deployment.contains(key) ? "deployment.\(key)" : key
  }

  private var isPrivate: Bool {
    if case .boolean(true)? = document.root["private"] { true } else { false }
  }

  private func warningOfServices() throws(InvalidDeclaration) -> String {
    guard Self.top.contains(where: { document.root[$0] != nil }) else {
      throw document.invalid(
        "services",
        "a file declares one service: write one for each, in a directory of its own, and name all "
          + "directories to istbpf deploy")
    }
    return document.warning("services", "\"services\" is ignored: a file declares one service")
  }
}
