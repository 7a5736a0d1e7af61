import ControlAPI
import Dataplane
import GRPCCore
import Glibc
import LinuxSystem
import Model

/// How this process becomes an instance's first: what the daemon is asked for, on the tasks' threads, so
/// that the thread which will call exec can go on meanwhile.
///
/// Half of the time that an instance takes to start is spent here.
struct Joining {
  private typealias Started = Istbpf_Control_V1_StartInstanceResponse
  private typealias Variables = [Istbpf_Control_V1_Variable]

  private let namespaces: AsyncStream<(NetworkNamespace, thread: Int32)>.Continuation
  private let entered = Promise<Started>()
  private let published = Promise<Variables>()

  /// Connects to the daemon, and asks for nothing yet.
  init(_ service: ServiceName, in deployment: DeploymentName, _ installation: Installation) {
    let (namespaces, continuation) = AsyncStream.makeStream(
      of: (NetworkNamespace, thread: Int32).self)
    self.namespaces = continuation
    let (entered, published) = (entered, published)
    let gracePeriod = Task.detached { Self.beginGracePeriod() }
    Task.detached {
      do {
        try await ControlClient.connect(to: installation.controlSocketPath) { client in
          for await (namespace, thread) in namespaces {
            let request = Istbpf_Control_V1_StartInstanceRequest.with {
              $0.deployment = deployment.rawValue
              $0.service = service.rawValue
              $0.threadID = thread
            }
            let instance = try await client.startInstance(request) {
              try await Self.enter($0, namespace, after: gracePeriod)
            }
            entered.resolve(.success(instance))
            let answer = try await client.publishInstance(
              .with { $0.instance = instance.instance })
            published.resolve(.success(answer.variables))
          }
        }
      } catch {
        entered.resolve(.failure(error))
        published.resolve(.failure(error))
      }
    }
  }

  /// Has the daemon make an instance around the calling thread's network namespace, enters its cgroup,
  /// and proves from there that it is guarded; returns the path of its hosts file.
  ///
  /// Throws `ControlClient.Failure`, `SystemError` and `DataplaneError.unguarded`.
  func enterInstance(around namespace: NetworkNamespace) throws -> String {
    namespaces.yield((namespace, thread: CallingThread.id))
    namespaces.finish()
    return try entered.wait().hostsPath
  }

  /// The instance's variables, once it is a member of its deployment; throws as `enterInstance` does.
  func variables() throws -> [Istbpf_Control_V1_Variable] { try published.wait() }

  /// Moves this process to where it is: never while it moves elsewhere, which that would undo.
  ///
  /// Moving one waits for a grace period of RCU, some 10 ms (rcu_sync_enter in kernel/rcu/sync.c), unless
  /// another such wait has just ended: so it begins here, while there is other work.
  private static func beginGracePeriod() {
    // Only for the time that it saves: `enter` throws what is wrong.
    try? CgroupHierarchy.find().cgroup(of: getpid()).add(getpid())
  }

  /// Enters the cgroup, which takes the kernel milliseconds, while the daemon makes ist0; returns once
  /// both are done.
  private static func enter(
    _ response: StreamingClientResponse<Started>, _ namespace: NetworkNamespace,
    after gracePeriod: Task<Void, Never>
  ) async throws -> Started {
    var instance = Started()
    await gracePeriod.value
    for try await guarded in response.messages {
      try Cgroup(path: guarded.cgroupPath).add(getpid())
      try namespace.perform { try AttachProof.attempt(in: guarded.cgroupPath) }
      instance = guarded
    }
    return instance
  }
}
