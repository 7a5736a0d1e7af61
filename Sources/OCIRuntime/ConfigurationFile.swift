import Glibc
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

  /// Replaces the file in one step, so that no reader and no crash finds half of it. Owner and mode
  /// stay. Throws `SystemError`.
  func replace(with value: JSONValue) throws {
    var status = stat()
    guard stat(path, &status) == 0 else { throw SystemError(.last, "look at", path) }
    let new = "\(path).istbpf-\(getpid())"
    let bytes = value.text
    do {
      let file = try OwnedDescriptor(opening: new, flags: O_WRONLY | O_CREAT | O_EXCL)
      guard fchown(file.rawValue, status.st_uid, status.st_gid) == 0,
        fchmod(file.rawValue, status.st_mode & 0o7777) == 0
      else { throw SystemError(.last, "set owner and mode of", new) }
      var rest = bytes[...]
      while !rest.isEmpty {
        let count = rest.withUnsafeBytes { write(file.rawValue, $0.baseAddress, $0.count) }
        guard count > 0 else { throw SystemError(.last, "write", new) }
        rest = rest.dropFirst(count)
      }
      guard rename(new, path) == 0 else { throw SystemError(.last, "replace", path) }
    } catch {
      unlink(new)
      throw error
    }
  }
}
