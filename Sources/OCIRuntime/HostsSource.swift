import Glibc
import LinuxSystem

/// The hosts file that an engine made for a container, read on the host.
enum HostsSource {
  /// What a container has whose engine made none.
  static let fallback = "127.0.0.1 localhost\n::1 localhost\n"

  private static let largest = 1 << 20

  /// The text of the file at `path`; the fallback where it is none that may be read.
  ///
  /// The path comes from config.json and so from the engine. Nothing inside the container's root file
  /// system is opened: what is there the image made, links that lead out of it included.
  static func text(at path: String?, rootFileSystem: String) -> String {
    guard let path, let resolved = realpath(path, nil) else { return fallback }
    defer { free(resolved) }
    let source = String(cString: resolved)
    if let root = realpath(rootFileSystem, nil) {
      defer { free(root) }
      guard !"\(source)/".hasPrefix("\(String(cString: root))/") else { return fallback }
    }
    var status = stat()
    guard stat(source, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
      status.st_size <= largest, let text = try? SmallFile.read(source)
    else { return fallback }
    return text
  }
}
