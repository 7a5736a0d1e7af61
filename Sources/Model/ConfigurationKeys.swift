import FoundationEssentials

/// The keys of a runner's configuration, `/etc/istbpf/config.json`, which the daemon and the wrapper of
/// container runtimes read.
///
/// The file is istbpf's own, so a key that is not known is an error: passed over, a misspelt
/// `tunnel.denied` would let revoked certificates in, and a `frontDoor.http` that is no text would open
/// port 80.
public enum ConfigurationKeys {
  typealias Kind = ConfigurationKey.Kind

  static let known = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0.kind) })

  /// Variables that are not the form of a key.
  private static let otherVariables = [Installation.variable, "ISTBPF_OCI_LOG"]

  /// Checks the keys of the file `file`, whose contents are `json`, and the kinds of their values: of
  /// one `section`, such as `oci`, or where that is nil of all.
  ///
  /// - Throws: `ConfigurationFault`, the first.
  public static func check(
    json: some Sequence<UInt8>, file: String, section: String? = nil
  ) throws(ConfigurationFault) {
    if let first = faults(json: json, file: file, section: section).first { throw first }
  }

  /// Everything that is wrong with the file `file`, as `check` has it.
  public static func faults(
    json: some Sequence<UInt8>, file: String, section: String? = nil
  ) -> [ConfigurationFault] {
    let bytes = Array(json)
    let lines: [String: Int]
    do { lines = try JSONOutline(bytes).lines } catch {
      return [
        ConfigurationFault(
          place(file, error.line),
          error.line == nil ? error.cause : "is not JSON: it \(error.cause)")
      ]
    }
    let value: DeclaredValue
    do { value = try JSONDecoder().decode(DeclaredValue.self, from: Data(bytes)) } catch {
      return [ConfigurationFault(file, "is not JSON: \(error)")]
    }
    guard case .object(let root) = value else {
      return [ConfigurationFault(file, "must be a JSON object, not \(value.summary)")]
    }
    var faults: [ConfigurationFault] = []
    for (key, value) in root.sorted(by: { $0.key < $1.key })
    where section.map({ isMeant(key, for: $0) }) ?? true {
      faults += Self.faults(value, key, depth: 1, file: file, lines)
    }
    return faults
  }

  /// Where the file `file` says what `key` is: its line, if it has one; or the variable that goes over it.
  public static func place(
    of key: String, json: some Sequence<UInt8>, file: String, environment: [String: String]
  ) -> String {
    let variable = variable(of: key)
    guard environment[variable] == nil else { return variable }
    let lines = (try? JSONOutline(json).lines) ?? [:]
    // Where it is missing, its section is the place.
    let section = key.lastIndex(of: ".").map { String(key[..<$0]) }
    return place(file, lines[key] ?? section.flatMap { lines[$0] })
  }

  /// Whether a key is the section's, or is a mistake that may have been meant for it: `OCI`, `oci.variables`.
  private static func isMeant(_ key: String, for section: String) -> Bool {
    key.lowercased() == section || key.lowercased().hasPrefix(section + ".")
  }

  private static func faults(
    _ value: DeclaredValue, _ key: String, depth: Int, file: String, _ lines: [String: Int]
  ) -> [ConfigurationFault] {
    let place = place(file, lines[key])
    // A key of the file with a dot in it would look like one of a section.
    let isWhole = key.split(separator: ".").count == depth
    if isWhole, let kind = known[key] {
      guard value.isOf(kind) else {
        return [ConfigurationFault(place, "\(key) must be \(kind.name), not \(value.summary)")]
      }
      return []
    }
    guard isWhole else {
      return [
        ConfigurationFault(
          place, "unknown key \(quoted(key)): a section is an object, {\"tunnel\": {\"key\": ...}}")
      ]
    }
    guard known.keys.contains(where: { $0.hasPrefix(key + ".") }) else {
      return [ConfigurationFault(place, "unknown key \(quoted(key))\(hint(key))")]
    }
    guard case .object(let members) = value else {
      return [ConfigurationFault(place, "\(key) must be an object, not \(value.summary)")]
    }
    return members.sorted(by: { $0.key < $1.key }).flatMap { name, value in
      faults(value, "\(key).\(name)", depth: depth + 1, file: file, lines)
    }
  }

  /// Checks the variables of an environment that look like the form of a key: `ISTBPF_ETCD_ENDPOINTS`.
  ///
  /// - Throws: `ConfigurationFault` for one that a key was most likely meant by, and for a value that
  ///   is not of its key's kind.
  public static func check(environment: [String: String]) throws(ConfigurationFault) {
    if let first = faults(environment: environment).first { throw first }
  }

  /// Everything that is wrong with the variables of an environment, as `check` has it.
  public static func faults(environment: [String: String]) -> [ConfigurationFault] {
    var faults: [ConfigurationFault] = []
    let variables = Dictionary(uniqueKeysWithValues: known.map { (variable(of: $0.key), $0.value) })
    for (name, value) in environment.sorted(by: { $0.key < $1.key })
    where name.hasPrefix(prefix) && !otherVariables.contains(name) {
      if let kind = variables[name] {
        if !isOf(kind, value) {
          faults.append(
            ConfigurationFault(
              name, "must be \(kind.name) in the environment, not \(quoted(value))"))
        }
        continue
      }
      // Without what all have in common, which would make any two look alike.
      let own = name.dropFirst(prefix.count)
      let near = nearest(
        to: String(own), among: variables.keys.map { $0.dropFirst(prefix.count) }.map(String.init))
      if let near {
        faults.append(
          ConfigurationFault(name, "is no variable; did you mean \(prefix)\(near)?"))
      }
    }
    return faults
  }

  private static let prefix = "ISTBPF_"

  /// The variable that goes over `key`: `ISTBPF_FRONT_DOOR_DOMAIN` over `frontDoor.domain`.
  static func variable(of key: String) -> String {
    var text = prefix
    var isAfterLowercase = false
    for character in key {
      if character.isUppercase, isAfterLowercase { text += "_" }
      isAfterLowercase = character.isLowercase
      text += character == "." ? "_" : character.uppercased()
    }
    return text
  }

  private static func isOf(_ kind: Kind, _ text: String) -> Bool {
    switch kind {
    case .text, .texts: true
    case .number: Int(text) != nil
    case .flag: ["true", "false", "yes", "no", "1", "0"].contains(text.lowercased())
    }
  }

  /// What the unknown `key` may have been meant to be: one of its section, or of the top level.
  private static func hint(_ key: String) -> String {
    let section = key.lastIndex(of: ".").map { key[...$0] } ?? ""
    let names = Set(
      known.keys.filter { $0.hasPrefix(section) }
        .map { String($0.dropFirst(section.count).prefix { $0 != "." }) }
    ).sorted()
    if let near = nearest(to: String(key.dropFirst(section.count)), among: names) {
      return "; did you mean \"\(section)\(near)\"?"
    }
    return "; known are \(names.map { "\"\($0)\"" }.joined(separator: ", "))"
  }

  private static func place(_ file: String, _ line: Int?) -> String {
    file + (line.map { ":\($0)" } ?? "")
  }
}

extension DeclaredValue {
  fileprivate func isOf(_ kind: ConfigurationKeys.Kind) -> Bool {
    switch (self, kind) {
    case (.string, .text), (.boolean, .flag): true
    case (.number(let number), .number): Int(exactly: number) != nil
    case (.array(let values), .texts):
      values.allSatisfy { if case .string = $0 { true } else { false } }
    default: false
    }
  }
}

/// What a runner's configuration has wrong.
public struct ConfigurationFault: Error, Hashable, Sendable, CustomStringConvertible {
  /// The file and the line, or the variable.
  public let place: String
  /// What is wrong with it.
  public let problem: String

  init(_ place: String, _ problem: String) { (self.place, self.problem) = (place, problem) }

  /// What to tell people.
  public var description: String { "\(place): \(problem)" }
}
