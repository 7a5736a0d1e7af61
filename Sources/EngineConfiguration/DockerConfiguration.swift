import Foundation

/// Docker's daemon.json: `runtimes` and `default-runtime`.
struct DockerConfiguration: RuntimeEditor {
  private typealias Object = [String: Any]

  func adding(_ runtime: RuntimeEntry, to text: String?) throws(ConfigurationProblem) -> String? {
    let old = try Self.parse(text)
    var new = old
    var runtimes = try Self.runtimes(of: old)
    runtimes[RuntimeEntry.name] = ["path": runtime.path]
    new["runtimes"] = runtimes
    if runtime.isDefault {
      if let other = old[Self.defaultKey], other as? String != RuntimeEntry.name {
        throw ConfigurationProblem(
          "\(Self.defaultKey) is \(other) already: take it out, and name that runtime for the containers that "
            + "need it, or leave --default out")
      }
      new[Self.defaultKey] = RuntimeEntry.name
    } else if Self.isDefault(old) {
      new[Self.defaultKey] = nil
    }
    return try Self.text(new, from: old, text)
  }

  func removing(from text: String?) throws(ConfigurationProblem) -> String? {
    guard text != nil else { return nil }
    let old = try Self.parse(text)
    var new = old
    var runtimes = try Self.runtimes(of: old)
    runtimes[RuntimeEntry.name] = nil
    new["runtimes"] = runtimes.isEmpty ? nil : runtimes
    if Self.isDefault(old) { new[Self.defaultKey] = nil }
    return try Self.text(new, from: old, text)
  }

  private static let defaultKey = "default-runtime"

  private static func isDefault(_ object: Object) -> Bool {
    object[defaultKey] as? String == RuntimeEntry.name
  }

  private static func parse(_ text: String?) throws(ConfigurationProblem) -> Object {
    // Docker takes an empty file for `{}`.
    guard let text, text.contains(where: { !$0.isWhitespace }) else { return [:] }
    let value: Any
    do { value = try JSONSerialization.jsonObject(with: Data(text.utf8)) } catch {
      let details = (error as NSError).userInfo["NSDebugDescription"] as? String
      throw ConfigurationProblem("it is no JSON: \(details ?? "\(error)")")
    }
    guard let object = value as? Object else { throw ConfigurationProblem("it is no JSON object") }
    return object
  }

  private static func runtimes(of object: Object) throws(ConfigurationProblem) -> Object {
    guard let value = object["runtimes"] else { return [:] }
    guard let runtimes = value as? Object else {
      throw ConfigurationProblem("runtimes is no JSON object")
    }
    return runtimes
  }

  /// Nothing changes in a file that says the same already.
  private static func text(
    _ new: Object, from old: Object, _ text: String?
  ) throws(ConfigurationProblem) -> String? {
    if (new as NSDictionary).isEqual(to: old) { return text }
    if new.isEmpty { return nil }
    do {
      let data = try JSONSerialization.data(
        withJSONObject: new, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
      return String(decoding: data, as: UTF8.self) + "\n"
    } catch { throw ConfigurationProblem("it cannot be written as JSON: \(error)") }
  }
}
