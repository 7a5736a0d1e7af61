import ControlAPI
import Dataplane
import Glibc
import LinuxSystem
import Model

/// What the runtime calls while it makes a container (`createRuntime`) and after that has ended
/// (`poststop`): asks the daemon to make the container an instance, or to end it.
package struct ContainerHook {
  /// What the runtime writes to a hook's standard input (runtime-spec, runtime.md, State).
  package struct State: Equatable {
    let container: String
    let process: Int32

    package init(parsing text: [UInt8]) throws {
      let state = try JSONValue(parsing: text)
      guard let container = state["id"]?.string, let number = state["pid"]?.unsigned,
        let process = Int32(exactly: number), process > 0
      else { throw Malformed(description: "the runtime's state has no id or no pid") }
      (self.container, self.process) = (container, process)
    }
  }

  struct Malformed: Error, CustomStringConvertible {
    let description: String
  }

  let installation: Installation

  /// Does what `arguments`, those after the hook's name, say.
  func run(_ arguments: [String]) async throws {
    switch (arguments.first, arguments.count) {
    case (HookCommand.attach, 6):
      let state = try State(parsing: try SmallFile.bytes(of: "/dev/stdin"))
      try MountChecks(
        installation: installation, process: state.process, configurationPath: arguments[4],
        hostsPath: arguments[3]
      ).check()
      try await attach(
        .with {
          $0.deployment = arguments[1]
          $0.service = arguments[2]
          $0.hostsPath = arguments[3]
          $0.container = state.container
          $0.processID = state.process
          $0.engine = arguments[5]
        })
    case (HookCommand.detach, 2):
      try await ContainersClient.connect(to: installation, patience: patience) { client, options in
        _ = try await client.detach(.with { $0.hostsPath = arguments[1] }, options: options)
      }
    default:
      throw Malformed(description: "istbpf-oci \(HookCommand.name) is called by container runtimes")
    }
  }

  private var patience: Duration { .seconds(HookCommand.patience) }

  /// Has the container made an instance, proves in its cgroup and namespace that it is guarded, and
  /// has it published.
  private func attach(_ request: Istbpf_Containers_V1_AttachRequest) async throws {
    let instance = try await ContainersClient.connect(to: installation, patience: patience) {
      try await $0.attach(request, options: $1)
    }
    try prove(
      in: Cgroup(path: instance.cgroupPath), try NetworkNamespace(process: request.processID))
    try await ControlClient.connect(to: installation.controlSocketPath) { client in
      _ = try await client.publishInstance(.with { $0.instance = instance.instance })
    }
  }

  /// This process enters the cgroup for as long as the attempt takes: beside it there is only the
  /// container's first process, which waits for the hook. The thread comes first, since a container
  /// may have a limit of processes.
  private func prove(in cgroup: Cgroup, _ namespace: NetworkNamespace) throws {
    let own = try CgroupHierarchy.find().cgroup(of: getpid())
    try namespace.perform {
      try cgroup.add(getpid())
      defer { try? own.add(getpid()) }
      try AttachProof.attempt(in: cgroup.path)
    }
  }
}
