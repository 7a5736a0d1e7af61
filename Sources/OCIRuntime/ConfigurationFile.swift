import LinuxSystem

/// The file that describes a container to the runtime, mostly config.json of a bundle.
struct ConfigurationFile {
  let path: String

  /// Throws `ContainerRefusal.unreadable`.
  func read() throws(ContainerRefusal) -> JSONValue {
    do {
      return try JSONValue(parsing: try SmallFile.bytes(of: path))
    } catch let error as InvalidJSON {
      throw .unreadable(file: path, problem: "\(error)")
    } catch let error as SystemError {
      throw .unreadable(file: path, problem: "\(error.errno)")
    } catch {
      throw .unreadable(file: path, problem: "\(error)")
    }
  }

  /// Replaces the file in one step (`SmallFile.replace`); throws `SystemError`.
  func replace(with value: JSONValue) throws { try SmallFile.replace(path, with: value.text) }
}
