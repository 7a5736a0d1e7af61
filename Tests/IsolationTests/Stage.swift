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

  /// Runs `body` with a runner whose resolver knows the names of `rules`.
  static func withRunner(_ body: (RunnerLaboratory) throws -> Void) async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      let resolver = try TestResolver(runner.laboratory)
      try resolver.say([
        "allowed.example.com": .addresses([World.allowed]),
        "metadata.example.com": .addresses(["169.254.169.254"]),
      ])
      try runner.startDaemon(wrapper: ["ISTBPF_EGRESS_RESOLV_CONF=\(resolver.configuration)"])
      try body(runner)
    }
  }

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

  /// The egress rules with which rows of `Row.withRules` are tried.
  private static let rules = #"["allowed.example.com:443", "metadata.example.com:*"]"#
  private var hasRules = false

  /// Gives shop/app egress rules, and sees that what they allow gets out, so that a row that is stopped is not stopped
  /// for want of them. From now on the relay has the port on which the fabric's listener was.
  func allowOutside() throws {
    guard !hasRules else { return }
    hasRules = true
    try fabricListener.tell("unlisten", 15001)
    let directory = "/tmp/\(runner.installation.name)-app"
    runner.laboratory.atEnd { try? FileManager.default.removeItem(atPath: directory) }
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    try #"{"container": "app", "deployment": {"egress": \#(Self.rules)}}"#.write(
      toFile: "\(directory)/warp.config.json", atomically: true, encoding: .utf8)
    let result = try runner.istbpf("deploy", "-d", "shop", directory)
    guard result.status == 0 else { throw Unexpected(result.errors) }
    for container in containers {
      let answer = try container.actor.tell("attempt", "tcp.allowed", 0)
      guard answer == "done" else {
        throw Unexpected("\(container.mode.description): \(answer) by the egress rule")
      }
    }
    usleep(100_000)
    _ = try everythingSeen()
    _ = try world.gateway.tell("got")
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
    let resolving = try world.gateway.tell("resolve_in", container.instance.pids.first ?? 0)
    guard resolving == "resolving" else { throw Unexpected(resolving) }
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
      "neighbour": .text(World.neighbourAddress), "allowed": .text(World.allowed),
      "far": .text(World.far),
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
