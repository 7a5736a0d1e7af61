import Foundation
import LinuxSystem
import TestSupport

/// A hostile container of shop/app, with the layers of its mode and an eth0 on the world's bridge.
final class Container {
  let mode: Mode
  /// What tries.
  let actor: Actor
  /// Its instance as `istbpf ps` lists it.
  let instance: RunnerLaboratory.ListedInstance
  /// 1 and up: of its port on the bridge and of its addresses there.
  let number: Int
  var port: String { "p\(number)" }
  var eth0: String { "10.213.1.\(number)" }
  var eth0v6: String { "fd21:3::1:\(number)" }

  init(_ mode: Mode, number: Int, stage: Stage) throws {
    (self.mode, self.number) = (mode, number)
    let program = try stage.runner.start(
      "shop/app", Actor.command[0], Actor.command[1], Actor.command[2])
    let started = try Actor(program)
    let process = program.processID
    guard
      let listed = try stage.runner.listedInstances().first(where: { $0.pids.contains(process) })
    else { throw Unexpected("no instance has process \(process)") }
    instance = listed
    try stage.world.plug(
      in: process, port: "p\(number)", addresses: ("10.213.1.\(number)", "fd21:3::1:\(number)"))
    try Self.remove(Mode.all.layers.subtracting(mode.layers), from: listed, stage)
    if mode.isWhatRunMakes {
      actor = started
    } else {
      actor = try Self.join(process, listed, mode, stage)
    }
  }

  /// A container that an engine's command `command` starts.
  init(ofEngine engine: String, _ command: [String], number: Int, stage: Stage) throws {
    mode = Mode(layers: Mode.all.layers, engine: engine)
    self.number = number
    let known = Set(try stage.runner.listedInstances().map(\.instance))
    let program = try Conversation(command)
    stage.runner.laboratory.atEnd { program.stop() }
    actor = try Actor(program)
    guard
      let listed = try stage.runner.listedInstances().first(where: { !known.contains($0.instance) }
      ),
      let process = listed.pids.first
    else { throw Unexpected("\(engine) made no instance") }
    instance = listed
    try stage.world.plug(
      in: process, port: "p\(number)", addresses: ("10.213.1.\(number)", "fd21:3::1:\(number)"))
  }

  /// Ends its program, and so the container.
  func end() { actor.program.stop() }

  private static func remove(
    _ layers: Set<Layer>, from instance: RunnerLaboratory.ListedInstance, _ stage: Stage
  ) throws {
    if layers.contains(.hooks) {
      try LayerRemoval.detach(LayerRemoval.hooks, from: instance.cgroup)
    }
    if layers.contains(.packets) {
      try LayerRemoval.detach(LayerRemoval.packets, from: instance.cgroup)
    }
    let links = try stage.fabricLinks()
    guard let link = links[instance.address] else {
      throw Unexpected("no link of \(instance.address) in \(links)")
    }
    if layers.contains(.lookup) {
      try FileManager.default.removeItem(
        atPath: "\(stage.runner.installation.pinDirectory)/lookup-\(link.ifindex)")
    }
    if layers.contains(.switch) {
      try LayerRemoval.replaceSwitch(of: link.name, in: stage.fabric, by: try stage.victimLink)
    }
  }

  /// A program in the cgroup and network namespace of an instance, under those of the layers that a
  /// process puts on itself which the mode has.
  private static func join(
    _ process: Int32, _ instance: RunnerLaboratory.ListedInstance, _ mode: Mode, _ stage: Stage
  ) throws -> Actor {
    // By descriptors: the Landlock domain is in the way of names below /proc.
    let net = try inheritable("/proc/\(process)/ns/net")
    let mount = try inheritable("/proc/\(process)/ns/mnt")
    let cgroup = try inheritable("/proc/\(process)/ns/cgroup")
    var enter = ["nsenter", "--net=/proc/self/fd/\(net.rawValue)"]
    if mode.layers.contains(.sandbox) {
      enter += ["--mount=/proc/self/fd/\(mount.rawValue)"]
      enter += ["--cgroup=/proc/self/fd/\(cgroup.rawValue)"]
    }
    // What it may remount is a copy's.
    if !mode.layers.contains(.sandbox) { enter += ["unshare", "--mount"] }
    if mode.layers.contains(.capabilities) {
      let kept =
        "chown,dac_override,fowner,fsetid,kill,setgid,setuid,setpcap,net_bind_service,"
        + "sys_chroot,audit_write,setfcap"
      enter += [
        "setpriv", "--inh-caps=-all", "--ambient-caps=-all",
        "--bounding-set=-all," + kept.split(separator: ",").map { "+\($0)" }.joined(separator: ","),
      ]
    }
    let join = ["bash", "-c", "echo $$ > \(instance.cgroup)/cgroup.procs; exec \"$@\"", "-"]
    let conversation = try DedicatedThread.run {
      if mode.layers.contains(.sandbox) { try ProcessDomain.enterNew() }
      if mode.layers.contains(.seccomp) { try SocketFamilyFilter.apply() }
      return try Conversation(join + enter + Actor.command)
    }
    stage.runner.laboratory.atEnd { conversation.stop() }
    let actor = try Actor(conversation)
    // Until then nsenter has opened them.
    extendLifetime(net)
    extendLifetime(mount)
    extendLifetime(cgroup)
    return actor
  }

  private static func inheritable(_ path: String) throws -> OwnedDescriptor {
    let descriptor = try OwnedDescriptor(opening: path)
    _ = fcntl(descriptor.rawValue, F_SETFD, 0)
    return descriptor
  }
}
