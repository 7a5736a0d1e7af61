/// A container engine that can be told of a runtime.
public enum ConfigurableEngine: String, CaseIterable, Sendable {
  case docker, podman, containerd
  case crio = "cri-o"

  /// The file that is edited where nobody names another: the engine's own, or one of ours that the engine reads
  /// beside its own.
  public var standardPath: String {
    switch self {
    case .docker: "/etc/docker/daemon.json"
    case .podman: "/etc/containers/containers.conf.d/50-istbpf.conf"
    case .containerd: "/etc/containerd/config.toml"
    case .crio: "/etc/crio/crio.conf.d/50-istbpf.conf"
    }
  }

  /// What to do so that the engine reads the file; nil where each of its commands reads it.
  public var reload: String? {
    switch self {
    case .docker: "systemctl reload docker"
    case .podman: nil
    case .containerd: "systemctl restart containerd"
    case .crio: "systemctl restart crio"
    }
  }

  /// How a container is run with the runtime where it is not the default.
  public var use: String {
    switch self {
    case .docker: "docker run --runtime istbpf"
    case .podman: "podman --runtime istbpf run"
    case .containerd, .crio: "a RuntimeClass with the handler istbpf"
    }
  }

  /// What edits the text of the file.
  public var editor: any RuntimeEditor {
    switch self {
    case .docker: DockerConfiguration()
    case .podman: DropIn(engine: self, contents: DropIn.podman)
    case .containerd: ContainerdConfiguration()
    case .crio: DropIn(engine: self, contents: DropIn.crio)
    }
  }
}

/// The runtime as an engine is told of it; its name is `istbpf`.
public struct RuntimeEntry: Hashable, Sendable {
  /// The absolute path of istbpf-oci.
  public let path: String
  /// Whether containers for which nobody names a runtime get this one.
  public let isDefault: Bool

  /// The runtime at `path`.
  public init(path: String, isDefault: Bool) {
    (self.path, self.isDefault) = (path, isDefault)
  }

  /// Its name in every engine.
  public static let name = "istbpf"
}

/// Edits the text of an engine's configuration file. A text that is nil is a file that does not exist.
public protocol RuntimeEditor: Sendable {
  /// `text` with the runtime in it, everything else as it was. Throws `ConfigurationProblem`.
  func adding(_ runtime: RuntimeEntry, to text: String?) throws(ConfigurationProblem) -> String?

  /// `text` without the runtime. Throws `ConfigurationProblem`.
  func removing(from text: String?) throws(ConfigurationProblem) -> String?
}

/// Why a configuration file cannot be edited.
public struct ConfigurationProblem: Error, Hashable, CustomStringConvertible {
  /// What is wrong, and what to do; the file is named by whoever shows it.
  public let description: String

  init(_ description: String) { self.description = description }
}
