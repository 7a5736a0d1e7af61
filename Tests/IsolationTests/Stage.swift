import Foundation
import LinuxSystem
import TestSupport

/// One runner with a container of each mode, the victims and those who watch.
///
/// shop/db is the victim within the deployment: nothing but whole TCP of an instance's own address may
/// arrive on its ist0. other/db is one of another deployment, with the same address. other/app is a hostile
/// instance of that.
final class Stage {
  let runner: RunnerLaboratory
  let world: World
  let victim: Actor
  let strangersVictim: Actor
  let stranger: Actor
  /// In the fabric's namespace, listening where the relay would.
  let fabricListener: Actor
  private(set) var containers: [Container] = []

  static let victimAddress = "198.18.2.2"

  init(_ runner: RunnerLaboratory, modes: [Mode] = Mode.every) throws {
    self.runner = runner
    try runner.deploy("shop", "app", "db")
    try runner.deploy("other", "app", "db")
    world = try World(runner.laboratory)
    victim = try Self.instance("shop/db", runner)
    strangersVictim = try Self.instance("other/db", runner)
    stranger = try Self.instance("other/app", runner)
    fabricListener = try World.actor(
      in: runner.installation.fabricPrefix + "shop", runner.laboratory)
    for port in [80, 15001] { try fabricListener.tell("listen", port) }
    for actor in [victim, strangersVictim] {
      try actor.tell("listen", 3211)
      try watch(actor)
    }
    try world.plug(
      in: stranger.program.processID, port: "q1", addresses: ("10.213.2.1", "fd21:3::2:1"))
    try stranger.tell("know", ["outside": "10.213.2.1", "outside_link": "eth0"])
    try takeWhatAHubDelivers()
    for (index, mode) in modes.enumerated() {
      try add(Container(mode, number: index + 1, stage: self))
    }
  }

  /// Adds a container that an engine's command `command` starts.
  func add(_ engine: String, _ command: [String]) throws {
    try add(
      Container(ofEngine: engine, command, number: containers.count + 1, stage: self))
  }

  private func add(_ container: Container) throws {
    containers.append(container)
    try container.actor.tell("know", facts(for: container))
    try container.actor.tell("listen", 8080)
  }

  private static func instance(_ service: String, _ runner: RunnerLaboratory) throws -> Actor {
    try Actor(runner.start(service, Actor.command[0], Actor.command[1], Actor.command[2]))
  }

  /// A packet socket beside the instance, which itself could have none.
  private func watch(_ instance: Actor) throws {
    try watch(
      by: PacketPrograms.enter(instance.program.processID), "capture", "ist0", Self.victimAddress)
  }

  /// A packet socket in the namespace that the command `enter` leads to.
  func watch(by enter: [String], _ capture: String, _ link: String, _ what: String) throws {
    let program = try Conversation(enter + Actor.command)
    runner.laboratory.atEnd { program.stop() }
    let watcher = try Actor(program)
    try watcher.tell(capture, link, what)
    watchers.append(watcher)
  }

  /// The switch hands frames over whatever hardware address they have; with a hub the victim must have
  /// the one that they are sent to.
  private func takeWhatAHubDelivers() throws {
    let enter = PacketPrograms.enter(victim.program.processID) + ["ip"]
    let fabric = "02:69:73:74:00:01"
    for words in [
      ["link", "set", "ist0", "address", fabric],
      ["neigh", "replace", "169.254.1.1", "lladdr", fabric, "dev", "ist0", "nud", "permanent"],
    ] {
      let result = try run(enter + words)
      guard result.status == 0 else { throw Unexpected("\(words): \(result.errors)") }
    }
  }

  /// See what arrives on the ist0 of victims, and on another runner's link.
  private(set) var watchers: [Actor] = []

  /// What attempts ask for by name.
  private func facts(for container: Container) throws -> [String: Fact] {
    let hierarchy = try CgroupHierarchy.find()
    let installation = runner.installation
    return [
      "gateway": .text(World.address), "gateway6": .text("fd21:3::1"),
      "link_local6": .text("fe80::1"),
      "neighbour": .text(World.neighbourAddress), "far": .text(World.far),
      "far6": .text("2001:db8::1"), "broadcast": .text("10.213.255.255"),
      "foreign": .text("203.0.113.7"), "eth0": .text(container.eth0),
      "own": .text(container.instance.address), "db": .text(Self.victimAddress),
      "db_service": .text("198.18.2.1"), "fabric": .text("198.18.0.1"),
      "fabric_other": .text("198.18.0.9"), "link_gateway": .text("169.254.1.1"),
      "cgroups": .text(hierarchy.mountPoint),
      "cgroup": .text(String(container.instance.cgroup.dropFirst(hierarchy.mountPoint.count))),
      "control": .text(installation.controlSocketPath), "state": .text(installation.stateDirectory),
      "pins": .text(installation.pinDirectory), "fabric_name": .text(fabric),
      "daemon": .number(runner.daemon?.processID ?? 0),
      "victim": .number(strangersVictim.program.processID),
    ]
  }

  enum Fact: Encodable, Sendable {
    case text(String)
    case number(Int32)

    func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      switch self {
      case .text(let text): try container.encode(text)
      case .number(let number): try container.encode(number)
      }
    }
  }

  // MARK: The fabric

  /// The name of shop's namespace.
  var fabric: String { runner.installation.fabricPrefix + "shop" }

  /// The fabric's ends of instances' links, by instance address.
  func fabricLinks() throws -> [String: (name: String, ifindex: Int)] {
    let rows = try run(["ip", "-n", fabric, "-o", "link"]).output.split(separator: "\n")
    return Dictionary(
      uniqueKeysWithValues: rows.compactMap { row in
        let words = row.split(separator: ":", maxSplits: 2)
        guard let ifindex = Int(words[0]), ifindex > 1 << 17,
          let name = words[1].split(separator: "@").first?.trimmingPrefix(" ")
        else { return nil }
        let offset = ifindex & 0x1ffff
        return ("198.18.\(offset >> 8).\(offset & 0xff)", (String(name), ifindex))
      })
  }

  var victimLink: String {
    get throws { try fabricLinks()[Self.victimAddress]?.name ?? "" }
  }
}
