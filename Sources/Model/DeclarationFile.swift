import FoundationEssentials

extension ServiceDeclaration {
  /// The service that a `warp.config.json` declares, and what its author should know.
  ///
  /// The file is the platform's as well, so keys at its top level that resemble none of ours are not
  /// looked at. A key that looks like a misspelt one of ours is a warning, and an error where the
  /// service would be more open without it than its author believes.
  ///
  /// - Parameters:
  ///   - json: the file's contents.
  ///   - directoryName: the last component of the path of the file's directory, which is the
  ///     service's name where the file gives none.
  ///   - file: how messages name the file.
  ///   - lines: where `json` is what a module came to, the lines of the module's keys, as far as they
  ///     are known; nil where it is the file itself.
  /// - Returns: the declaration, and a sentence for each thing that looks like a mistake.
  /// - Throws: `InvalidDeclaration`, which names the file and the key.
  public static func parse(
    json: Data, directoryName: String, file: String, lines: [String: Int]? = nil
  ) throws(InvalidDeclaration) -> (declaration: ServiceDeclaration, warnings: [String]) {
    let document = try DeclarationDocument(json, file: file, lines: lines)
    let root = document.root
    let deployment = try root["deployment"].map { value throws(InvalidDeclaration) in
      try document.object(value, "deployment")
    }
    var warnings = try DeclarationKeys(document, deployment ?? [:]).check()
    let declaration = ServiceDeclaration(
      name: try name(document, directoryName: directoryName, &warnings),
      port: try deployment?["port"].map { value throws(InvalidDeclaration) in
        try document.port(value, "deployment.port")
      } ?? .standard,
      isPrivate: try root["private"].map { value throws(InvalidDeclaration) in
        try document.boolean(value, "private")
      } ?? false,
      egress: try deployment?["egress"].map { value throws(InvalidDeclaration) in
        try document.egress(value, "deployment.egress")
      } ?? [],
      timeout: try deployment?["timeout"].map { value throws(InvalidDeclaration) in
        try document.timeout(value, "deployment.timeout")
      })
    if root.isEmpty {
      warnings.append(
        "\(file): says nothing, so it declares the service \(quoted(declaration.name.rawValue)), "
          + "named for its directory, with a public URL for port \(declaration.port)")
    }
    return (declaration, warnings)
  }

  private static func name(
    _ document: DeclarationDocument, directoryName: String, _ warnings: inout [String]
  ) throws(InvalidDeclaration) -> ServiceName {
    var names: [(key: String, text: String)] = []
    for key in ["container", "docker"] {
      guard let value = document.root[key] else { continue }
      names.append((key, try document.string(value, key)))
    }
    guard let (key, text) = names.first else {
      do { return try ServiceName(directoryName) } catch {
        throw document.invalid(
          nil, "the name is the directory's, since there is no \"container\", but \(error)")
      }
    }
    if let other = names.last, other.text != text {
      warnings.append(
        document.warning(
          other.key, "\"docker\" is not looked at, since \"container\" says \(quoted(text))"))
    }
    do { return try ServiceName(text) } catch { throw document.invalid(key, "\(error)") }
  }
}
