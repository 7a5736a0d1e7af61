import Model

/// Why a container of a service is not made, in one line that the engine shows.
package enum ContainerRefusal: Error, Equatable, CustomStringConvertible {
  case unclearArguments(String)
  case unreadable(file: String, problem: String)
  case incompleteClaim(missing: String)
  case notLinux
  case restored
  case hostNetwork
  case privileged
  case hostProcesses
  case hostIPC
  case hostMounts
  case joinedCgroupNamespace
  case device(String)
  case routing(String)
  case mount(String)
  case capability(String)
  case preservedDescriptors(String)
  case otherSeccomp(String)

  package var description: String {
    switch self {
    case .unclearArguments(let problem):
      "cannot tell from the arguments which bundle is meant: \(problem)"
    case .unreadable(let file, let problem):
      "cannot read \(file): \(problem)"
    case .incompleteClaim(let missing):
      "the container names its deployment and service only in part: the annotation "
        + "\(ContainerClaim.annotation(missing)) or the variable \(ContainerClaim.variable(missing)) "
        + "is missing"
    case .notLinux:
      "config.json has no process or no linux section: only Linux containers can be instances"
    case .restored:
      "a container of a service cannot be restored from a checkpoint: start it anew"
    case .hostNetwork:
      "the container would share the host's network, where deployments are not kept apart: run it "
        + "without --network host"
    case .privileged:
      "a privileged container could leave its deployment: run it without --privileged"
    case .hostProcesses:
      "the container would share the host's processes, and by /proc their files: run it without --pid host"
    case .hostIPC:
      "the container would share the host's System V memory and message queues: run it without --ipc host"
    case .hostMounts:
      "the container would share the host's or another's mounts: give it a mount namespace of its own"
    case .joinedCgroupNamespace:
      "the container would join another's cgroup namespace: run it with --cgroupns private"
    case .device(let device):
      "the container would have the device \(device), which is not known to be harmless: run it without "
        + "--device and --device-cgroup-rule for that"
    case .routing(let parameter):
      "the container would forward packets, or take others' for its own: run it without --sysctl "
        + "\(parameter)"
    case .mount(let problem):
      problem
    case .capability(let capability):
      "a process in a container of a service cannot have \(capability), with which it could leave it"
    case .preservedDescriptors(let number):
      "the container would inherit descriptors (\(number)), which may be sockets of the host: run it "
        + "without --preserve-fds and socket activation"
    case .otherSeccomp(let problem):
      "the seccomp profile cannot be narrowed: \(problem)"
    }
  }
}
