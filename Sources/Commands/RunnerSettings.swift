import Foundation
import LinuxSystem
import Model

/// What the runner's configuration says, read by a command that must also work where it is wrong.
struct RunnerSettings {
  /// The file that the daemon reads, or would.
  let file: String
  /// What is wrong with it; empty where nothing is.
  let faults: [ConfigurationFault]
  private let root: [String: Any]
  private let environment: [String: String]

  /// The settings of `file`, else of the file that the running daemon was told of, else of the standard one;
  /// and of the daemon's environment, or of this process's where none runs.
  init(file: String?, _ daemon: DaemonProcess?) {
    self.file = file ?? daemon?.configurationFile ?? "/etc/istbpf/config.json"
    environment = daemon?.environment ?? ProcessInfo.processInfo.environment
    let bytes = SmallFile.exists(self.file) ? try? SmallFile.bytes(of: self.file) : nil
    faults =
      (bytes.map { [file = self.file] in ConfigurationKeys.faults(json: $0, file: file) } ?? [])
      + ConfigurationKeys.faults(environment: environment)
    root =
      bytes.flatMap { try? JSONSerialization.jsonObject(with: Data($0)) as? [String: Any] } ?? [:]
  }

  /// What the file says of a key, as a text.
  private func inFile(_ key: String) -> String? {
    let parts = key.split(separator: ".").map(String.init)
    let value =
      parts.count == 1 ? root[key] : (root[parts[0]] as? [String: Any])?[parts[1]]
    return switch value {
    case let text as String: text
    case let texts as [String]: texts.joined(separator: ",")
    // Numbers, and true and false, which are numbers to Foundation.
    case let number as NSNumber:
      ConfigurationKeys.key(key)?.kind == .flag ? "\(number.boolValue)" : "\(number)"
    default: nil
    }
  }

  /// What is said of a key; nil where nothing is.
  func said(_ key: String) -> String? {
    ConfigurationKeys.key(key).flatMap { environment[$0.variable] } ?? inFile(key)
  }

  /// What holds for a key.
  func value(_ key: String) -> String? { said(key) ?? ConfigurationKeys.key(key)?.standard }

  /// Whether file or environment has the key, and which.
  func origin(of key: ConfigurationKey) -> String? {
    if environment[key.variable] != nil { return key.variable }
    return inFile(key.name) == nil ? nil : file
  }

  /// The keys at the top of the file that are none of ours.
  var unknownKeys: Int {
    root.keys.count { name in
      !ConfigurationKeys.all.contains { $0.name == name || $0.name.hasPrefix(name + ".") }
    }
  }

  /// Every text of the file and of the variables whose key may not be shown: what nothing that leaves may have.
  var secrets: Set<String> {
    var found: Set<String> = []
    func collect(_ value: Any) {
      switch value {
      case let text as String: found.insert(text)
      case let list as [Any]: list.forEach(collect)
      case let object as [String: Any]: object.values.forEach(collect)
      default: break
      }
    }
    func walk(_ object: [String: Any], _ prefix: String) {
      for (name, value) in object {
        let path = prefix + name
        if let key = ConfigurationKeys.key(path) {
          if !key.isReported { collect(value) }
        } else if let section = value as? [String: Any] {
          walk(section, path + ".")
        } else {
          collect(value)
        }
      }
    }
    walk(root, "")
    for (name, value) in environment where name.hasPrefix("ISTBPF_") {
      guard name != Installation.variable else { continue }
      // One that is mistyped is none of ours.
      let key = ConfigurationKeys.all.first { $0.variable == name }
      if key?.isReported != true { found.insert(value) }
    }
    for key in ["etcd.endpoints"] {
      for url in (said(key) ?? "").split(separator: ",") {
        // user:password@ of a URL, and each of them.
        guard let start = url.range(of: "://")?.upperBound,
          let at = url[start...].firstIndex(of: "@")
        else { continue }
        let user = url[start..<at]
        found.insert(String(user))
        found.formUnion(user.split(separator: ":").dropFirst().map(String.init))
      }
    }
    // A text so short stands everywhere, and says nothing.
    return found.filter { $0.utf8.count >= 4 }
  }
}
