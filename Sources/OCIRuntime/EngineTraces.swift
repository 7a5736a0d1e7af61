import Model

/// What an engine leaves of itself in a container that it has a runtime make.
enum EngineTraces {
  /// containerd's directories of bundles, which are in NAMESPACE/ID there: each user of containerd has a namespace.
  private static let containerdDirectories: Set<Substring> = [
    "io.containerd.runtime.v2.task", "io.containerd.runtime.v1.linux",
  ]

  /// Whose container it is that `specification` describes, which is the file at the absolute path `path`.
  ///
  /// The path counts first, which the engine chooses: annotations may be the caller's.
  static func engine(at path: String, _ specification: JSONValue) -> ContainerEngine {
    let annotations = specification["annotations"]
    let parts = path.split(separator: "/")
    if let index = parts.lastIndex(where: containerdDirectories.contains), index + 2 < parts.count {
      switch parts[index + 1] {
      case "moby": return .docker
      case "k8s.io": return .containerdCRI
      default:
        return annotations?[podTypes[0]] == nil ? .containerd : .containerdCRI
      }
    }
    switch annotations?["io.container.manager"]?.string {
    case "libpod": return .podman
    case "cri-o": return .crio
    default:
      // podman has some of these too.
      return annotations?[podTypes[1]] == nil ? .unknown : .crio
    }
  }

  /// Where containerd's CRI, and CRI-O and podman, say what a container is to its pod.
  private static let podTypes = [
    "io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType",
  ]

  /// Whether the container does nothing but hold a pod's namespaces ("pause"). Engines give it the pod's
  /// annotations.
  static func isSandbox(_ specification: JSONValue) -> Bool {
    podTypes.contains { specification["annotations"]?[$0]?.string == "sandbox" }
  }
}
