import FoundationEssentials

extension ServiceDeclaration {
  /// The keys that `deployment` may have; `include` is the platform's.
  private static let deploymentKeys = ["egress", "include", "port"]

  /// The service that a `warp.config.json` declares, and what its author should know.
  ///
  /// The file is the platform's as well, so other keys at its top level are not looked at.
  ///
  /// - Parameters:
  ///   - json: the file's contents.
  ///   - directoryName: the last component of the path of the file's directory, which is the
  ///     service's name where the file gives none.
  ///   - file: how messages name the file.
  /// - Returns: the declaration, and a sentence for each thing that looks like a mistake.
  /// - Throws: `InvalidDeclaration`, which names the file and the key.
  public static func parse(
    json: Data, directoryName: String, file: String
  ) throws(InvalidDeclaration) -> (declaration: ServiceDeclaration, warnings: [String]) {
    let document = DeclarationDocument(file: file)
    let root = try document.parse(json)
    let name = try self.name(in: root, directoryName: directoryName, document)
    let isPrivate = try root["private"].map { value throws(InvalidDeclaration) in
      try document.boolean(value, "private")
    }
    guard let value = root["deployment"] else {
      return (ServiceDeclaration(name: name, isPrivate: isPrivate ?? false), [])
    }
    let deployment = try document.object(value, "deployment")
    // A warning would leave the service with a public URL that its author believes it has not.
    if deployment["private"] != nil {
      throw document.invalid("deployment.private", "belongs beside \"deployment\", not in it")
    }
    let declaration = ServiceDeclaration(
      name: name,
      port: try deployment["port"].map { value throws(InvalidDeclaration) in
        try document.port(value, "deployment.port")
      } ?? .standard,
      isPrivate: isPrivate ?? false,
      egress: try deployment["egress"].map { value throws(InvalidDeclaration) in
        try document.egress(value, "deployment.egress")
      } ?? [])
    let unknown = deployment.keys.filter { !deploymentKeys.contains($0) }.sorted()
    return (declaration, unknown.map { warning(unknownKey: $0, file: file) })
  }

  private static func name(
    in root: [String: JSONValue], directoryName: String, _ document: DeclarationDocument
  ) throws(InvalidDeclaration) -> ServiceName {
    for key in ["container", "docker"] {
      guard let value = root[key] else { continue }
      let text = try document.string(value, key)
      do { return try ServiceName(text) } catch { throw document.invalid(key, "\(error)") }
    }
    do { return try ServiceName(directoryName) } catch {
      throw document.invalid(
        nil, "the name is the directory's, since there is no \"container\", but \(error)")
    }
  }

  private static func warning(unknownKey key: String, file: String) -> String {
    let known = deploymentKeys.map { "\"\($0)\"" }.joined(separator: ", ")
    let hint =
      nearest(to: key, among: deploymentKeys).map { "did you mean \"\($0)\"?" }
      ?? "known are \(known)"
    return "\(file): deployment has an unknown key \(quoted(key)), which is ignored; \(hint)"
  }
}
