/// The program that has a container made, as far as what it leaves tells (Sources/OCIRuntime/EngineTraces.swift).
///
/// For people to read: whoever may run containers can leave the same, and nothing is decided by it.
public enum ContainerEngine: String, Hashable, Sendable, CaseIterable {
  case podman
  case docker
  /// containerd itself: `ctr`, nerdctl.
  case containerd
  /// containerd for a kubelet, by its CRI.
  case containerdCRI = "containerd-cri"
  case crio = "cri-o"
  /// Another one, or a person who calls the runtime.
  case unknown
}
