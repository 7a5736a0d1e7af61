import CDataplaneABI
import CLibbpf
import Foundation
import Glibc
import Model

/// The data path of one runner: programs loaded, maps pinned. What it sets up goes on without it.
public final class Dataplane: Sendable {
  private let object: BPFObject
  let maps: MapSet
  private let cgroupPrograms: CgroupPrograms
  private let switchProgram: SwitchProgram
  private let lookupProgram: LookupProgram

  /// Loads the programs, and adopts the maps pinned in `directory` or makes them.
  ///
  /// State of another layout or range is replaced where no instance depends on it, and refused
  /// otherwise. `mayHaveInstances` is false where no process runs in any instance's cgroup: what is
  /// pinned of instances is then of such that ended while there was no daemon. `directory` must exist
  /// and lie on bpffs.
  public init(
    pinnedIn directory: String, plan: AddressPlan, mayHaveInstances: Bool = true
  ) throws(DataplaneError) {
    try Self.retireOtherState(in: directory, plan: plan, mayHaveInstances: mayHaveInstances)
    object = try BPFObject(pinnedIn: directory, plan: plan)
    let layout = try BPFMap<UInt32, UInt32>("layout", pinnedIn: directory)
    try layout.set(UInt32(IST_ABI_VERSION), at: LayoutKey.version)
    try layout.set(plan.base.rawValue, at: LayoutKey.range)
    maps = try MapSet(pinnedIn: directory)
    cgroupPrograms = CgroupPrograms(object: object)
    switchProgram = SwitchProgram(object: object)
    lookupProgram = LookupProgram(directory: directory)
  }

  /// The descriptor of a program; it stays this one's.
  func program(_ name: String) throws(DataplaneError) -> Int32 { try object.program(name) }

  // MARK: Deployments and services

  /// Names a deployment, for who inspects the maps.
  public func publish(deployment: Deployment) throws(DataplaneError) {
    var value = ist_deployment()
    setName(deployment.name.rawValue, in: &value.name)
    try maps.deployments.set(value, at: UInt32(deployment.id))
  }

  /// Makes a service and where its instances are known to connect(), in one step.
  public func publish(
    service: Service, deployment: DeploymentID, local: Set<InstanceNumber>,
    remote: Set<InstanceNumber>,
    selection: InstanceSelection = .localFirst
  ) throws(DataplaneError) {
    var value = ist_service()
    setBits(local, in: &value.local)
    setBits(remote, in: &value.remote)
    value.port = UInt32(service.port.rawValue)
    if selection == .spread { value.flags = UInt32(IST_SPREAD) }
    setName(service.name.rawValue, in: &value.name)
    try maps.services.set(value, at: Self.key(deployment, service.number))
  }

  /// A service is no more: connects to its address find no service, and its counters go.
  public func withdraw(service: ServiceNumber, deployment: DeploymentID) throws(DataplaneError) {
    try maps.services.remove(Self.key(deployment, service))
    for key in try maps.denials.keys()
    where key.deployment == UInt32(deployment) && key.service == UInt32(service) {
      try maps.denials.remove(key)
    }
  }

  /// A deployment is no more: its name, its services and its counters go.
  public func withdraw(deployment: DeploymentID) throws(DataplaneError) {
    let id = UInt32(deployment)
    for key in try maps.services.keys() where key.deployment == id {
      try maps.services.remove(key)
    }
    for key in try maps.denials.keys() where key.deployment == id {
      try maps.denials.remove(key)
    }
    try maps.deployments.remove(id)
  }

  /// The services that the kernel knows, by deployment id.
  public func publishedServices() throws(DataplaneError) -> [(
    deployment: DeploymentID, service: ServiceNumber
  )] {
    try maps.services.keys().map {
      (
        DeploymentID(truncatingIfNeeded: $0.deployment),
        ServiceNumber(truncatingIfNeeded: $0.service)
      )
    }
  }

  /// The ids of the deployments that the kernel knows.
  public func publishedDeployments() throws(DataplaneError) -> [DeploymentID] {
    try maps.deployments.keys().map { DeploymentID(truncatingIfNeeded: $0) }
  }

  // MARK: Instances

  /// Attaches the programs to an instance's cgroup, or replaces an earlier daemon's, and has the
  /// kernel confirm it. Until `identify`, the cgroup's sockets may do nothing but TCP on loopback.
  public func guardCgroup(descriptor: Int32, path: String) throws(DataplaneError) {
    try cgroupPrograms.attach(to: descriptor, named: path)
    try nameCgroup(descriptor: descriptor, path: path)
    try confirmGuard(descriptor: descriptor, path: path)
  }

  /// Tells the programs which cgroup they guard, without which no socket is its own; an identity that is
  /// there stays.
  private func nameCgroup(descriptor: Int32, path: String) throws(DataplaneError) {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .failed("look at cgroup", path, -errno) }
    let cgroup = UInt64(status.st_ino)
    guard try maps.cgroupIdentity.value(at: cgroup)?.cgroup_id != cgroup else { return }
    try unidentify(cgroup: cgroup)
  }

  /// Has the kernel confirm that it runs these very programs for a cgroup, at every hook.
  public func confirmGuard(descriptor: Int32, path: String) throws(DataplaneError) {
    let missing = try cgroupPrograms.missing(on: descriptor, named: path)
    guard missing.isEmpty else { throw .notEffective(cgroup: path, missing: missing) }
  }

  /// Hides what will listen in an instance's network namespace, open as `descriptor`, from every
  /// interface but lo and ist0.
  public func guardNamespace(descriptor: Int32, of identity: Identity) throws(DataplaneError) {
    try lookupProgram.attach(to: descriptor, of: identity)
  }

  /// Replaces an earlier daemon's program in the network namespace of a living instance.
  public func renewNamespaceGuard(of identity: Identity) throws(DataplaneError) {
    try lookupProgram.renew(of: identity)
  }

  /// Tells the programs of a guarded cgroup who is calling, and the switch whose the link is. `namespace` is
  /// the network namespace that has ist0: what listens in another one that a program of the instance makes is
  /// not reached.
  public func identify(
    _ identity: Identity, cgroup: UInt64, namespace: NamespaceNumbers
  ) throws(DataplaneError) {
    try admit(identity, cgroup: cgroup, namespace: namespace)
    try maps.cgroupIdentity.set(identity.abi(cgroup: cgroup, namespace: namespace), at: cgroup)
  }

  /// Tells the programs of a cgroup that it is no instance's any more: TCP on loopback is left to it.
  public func unidentify(cgroup: UInt64) throws(DataplaneError) {
    var nobody = ist_identity()
    nobody.cgroup_id = cgroup
    try maps.cgroupIdentity.set(nobody, at: cgroup)
  }

  /// Whether the cgroup with this id is an instance's to its programs.
  public func isIdentified(cgroup: UInt64) throws(DataplaneError) -> Bool {
    try maps.cgroupIdentity.value(at: cgroup).map { $0.deployment != 0 } ?? false
  }

  /// Tells the switch whose the link is, and the sockets of which cgroup may connect over it: without it,
  /// the link gets nothing through.
  package func admit(
    _ identity: Identity, cgroup: UInt64, namespace: NamespaceNumbers = .unknown
  ) throws(DataplaneError) {
    try maps.fabricLinks.set(
      identity.abi(cgroup: cgroup, namespace: namespace), at: UInt32(identity.ifindex))
  }

  /// Puts the switch on a link of the calling thread's network namespace.
  public func attachSwitch(to ifindex: Int32) throws(DataplaneError) {
    try switchProgram.attach(to: ifindex)
  }

  /// Puts the program for held frames on a link of the calling thread's network namespace.
  public func attachReplay(to ifindex: Int32) throws(DataplaneError) {
    try SwitchProgram(object: object, program: "ist_replay").attach(to: ifindex)
  }

  /// The instances that the fabric's switch knows.
  public func identified() throws(DataplaneError) -> [Identity] {
    try maps.fabricLinks.entries().map { Identity($0.value) }
  }

  /// The id of an instance's cgroup, as it was when it was identified; nil where it was not.
  public func cgroup(of identity: Identity) throws(DataplaneError) -> UInt64? {
    let link = try maps.fabricLinks.value(at: UInt32(identity.ifindex))
    return link.flatMap { $0.cgroup_id == 0 ? nil : $0.cgroup_id }
  }

  /// An instance ended: its link and what is left of its listening sockets go.
  public func forget(_ identity: Identity) throws(DataplaneError) {
    try maps.fabricLinks.remove(UInt32(identity.ifindex))
    lookupProgram.remove(of: identity)
    for key in try maps.listeners.keys()
    where key.deployment == UInt32(identity.deployment) && key.address == identity.address.rawValue
    {
      // In this order: a daemon that is killed in between finds the key again.
      try forgetListening(key)
      try maps.listeners.remove(key)
    }
  }

  /// By a program, since only BPF can clear one instance's bit while others set theirs.
  private func forgetListening(_ key: ist_listener_key) throws(DataplaneError) {
    var key = key
    let program = try object.program("ist_forget_listening")
    let result = withUnsafeMutablePointer(to: &key) { key in
      var options = bpf_test_run_opts()
      options.sz = optionsSize(through: \bpf_test_run_opts.ctx_size_in)
      options.ctx_in = UnsafeRawPointer(key)
      options.ctx_size_in = UInt32(MemoryLayout<ist_listener_key>.size)
      return bpf_prog_test_run_opts(program, &options)
    }
    guard result == 0 else { throw .failed("run", "ist_forget_listening", result) }
  }

  /// Whether connections that open and close are told: only where somebody observes, since it costs a
  /// little for each connection.
  public func observeConnections(_ wanted: Bool) throws(DataplaneError) {
    try maps.observed.set(wanted ? 1 : 0, at: 0)
  }

  // MARK: State of an earlier version

  private static func retireOtherState(
    in directory: String, plan: AddressPlan, mayHaveInstances: Bool
  ) throws(DataplaneError) {
    guard let found = try MapSet.layoutVersion(in: directory) else { return }
    let live = mayHaveInstances ? try pinnedInstances(in: directory) : 0
    // Version 0: a daemon that was killed between making the map and writing to it.
    if found != UInt32(IST_ABI_VERSION) {
      guard live == 0 || found == 0 else {
        throw .otherLayout(found: found, expected: UInt32(IST_ABI_VERSION), directory: directory)
      }
      return try PinnedState.remove(directory: directory)
    }
    let other = try MapSet.plan(in: directory)
    guard other != plan else { return }
    guard live == 0 else {
      throw .otherRange(
        found: other.map(\.description) ?? "none", expected: plan.description, directory: directory)
    }
    try PinnedState.remove(directory: directory)
  }

  /// How many instances are pinned, whatever the layout: every layout has `fabric_links`, with
  /// keys of four bytes.
  private static func pinnedInstances(in directory: String) throws(DataplaneError) -> Int {
    guard access("\(directory)/fabric_links", F_OK) == 0 || errno != ENOENT else { return 0 }
    return try BPFMap<UInt32, UInt8>("fabric_links", pinnedIn: directory).keys().count
  }

  private static func key(_ deployment: DeploymentID, _ service: ServiceNumber) -> ist_service_key {
    ist_service_key(deployment: UInt32(deployment), service: UInt32(service))
  }
}

/// Writes `name` into a C array of characters, cut so that a NUL remains.
private func setName<Characters>(_ name: String, in characters: inout Characters) {
  withUnsafeMutableBytes(of: &characters) { bytes in
    for (index, byte) in name.utf8.prefix(bytes.count - 1).enumerated() { bytes[index] = byte }
  }
}

/// Sets the bits of `instances` in a C array of 64-bit words.
private func setBits<Words>(_ instances: Set<InstanceNumber>, in words: inout Words) {
  withUnsafeMutableBytes(of: &words) { bytes in
    let words = bytes.bindMemory(to: UInt64.self)
    for instance in instances { words[Int(instance) / 64] |= 1 << UInt64(instance % 64) }
  }
}
