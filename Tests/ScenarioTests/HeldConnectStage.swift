import CLinux
import Dataplane
import Fabric
import Foundation
import Glibc
import LinuxSystem
import Model
import Synchronization
import TestSupport

/// One fabric with one instance, `app` at 198.18.1.2, and what the relay has there; no daemon.
final class Stage: Sendable {
  let app: String
  let directory: String
  private let plan = AddressPlan.standard
  private let identity: Identity
  private let dataplane: Dataplane
  private let flows: FlowTable
  private let replay: ReplayLink
  private let listener: Int32

  init(_ laboratory: NamespaceLaboratory) throws {
    try BPFFileSystem.mount()
    let directory = "/sys/fs/bpf/istbpf-test-\(laboratory.uniqueName("h"))"
    laboratory.atEnd { try? FileManager.default.removeItem(atPath: directory) }
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
    let dataplane = try Dataplane(pinnedIn: directory, plan: plan)
    let fabric = try laboratory.fabric()
    let (app, namespace) = try laboratory.namespace()
    identity = Identity(deployment: 1, address: plan.instanceAddress(1, 2))
    // Every socket is inside the topmost cgroup.
    try dataplane.admit(identity, cgroup: try CgroupHierarchy.find().root.id())
    try fabric.attach(
      InstanceLink(name: "app", ifindex: identity.ifindex, address: identity.address),
      netns: namespace
    ) { try dataplane.attachSwitch(to: $0) }
    let ifindex = Dataplane.replayIfindex(deployment: 1, plan: plan)
    try ReplayLink.make(in: fabric, ifindex: ifindex) { try dataplane.attachReplay(to: $0) }
    replay = try ReplayLink(of: fabric, ifindex: ifindex)
    flows = try FlowTable(pinnedIn: directory)
    listener = try TransparentSocket.listening(in: fabric, port: Dataplane.relayPort).release()
    (self.app, self.directory, self.dataplane) = (app, directory, dataplane)
  }

  deinit { close(listener) }

  /// Accepts, refuses or reports unreachable by the port, as a far runner's answer would have it.
  func decide(_ flow: Flow, _ bytes: [UInt8], _ accepted: UInt16, _ unreachable: UInt16) throws {
    guard var frame = HeldFrame(bytes) else { return }
    frame.completeChecksum()
    switch flow.destinationPort {
    case accepted:
      try flows.accept(flow)
      try replay.play(frame.bytes)
    case unreachable:
      try flows.forget(flow)
      try replay.send(frame.unreachable(.host, from: plan.gateway), to: identity.ifindex)
    default:
      try flows.forget(flow)
      try replay.play(frame.bytes)
    }
  }

  /// Marks the flow as one that the relay is about to accept, or forgets it.
  func note(_ flow: Flow, isAccepted: Bool) throws {
    if isAccepted { try flows.accept(flow) } else { try flows.forget(flow) }
  }

  /// Tells every connection that the relay accepts where it was to and where it came from, on a thread
  /// of its own, until `stopListening`.
  func greetCallers() {
    Thread.detachNewThread { [self] in
      while true {
        var poll = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
        Glibc.poll(&poll, 1, -1)
        guard let connection = TransparentSocket.accept(on: listener) else { return }
        let (to, from) = (connection.local, connection.peer)
        let text = "\(to.address):\(to.port) from \(from.address)"
        let socket = connection.release()
        _ = send(socket.rawValue, text, text.utf8.count, 0)
        // Else its close is a reset, which a caller meets in connect() where that comes before it wakes.
        linux_finish_on_close(socket.rawValue)
        try? flows.forget(
          Flow(
            deployment: 1, source: from.address, destination: to.address, sourcePort: from.port,
            destinationPort: to.port))
      }
    }
  }

  func stopListening() { shutdown(listener, Int32(SHUT_RDWR)) }
}

/// Hands held SYNs over, on a thread of its own, until it is stopped.
final class HeldReader: Sendable {
  private let stopped = Atomic(false)

  init(_ held: HeldConnects) {
    Thread.detachNewThread { [self] in
      while !stopped.load(ordering: .relaxed) {
        var poll = pollfd(fd: held.descriptor, events: Int16(POLLIN), revents: 0)
        if Glibc.poll(&poll, 1, 100) > 0 { held.drain() }
      }
    }
  }

  func stop() { stopped.store(true, ordering: .relaxed) }
}
