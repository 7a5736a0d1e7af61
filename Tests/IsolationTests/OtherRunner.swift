import Foundation
import TestSupport

/// The other runner of the cluster whose first one the stage is on. It has a victim too, an instance of
/// shop/db, and the containers' bridge leads to it, as that of a container engine would.
final class OtherRunner {
  /// Listens; `seen` of the stage's watchers tells what else arrives on its ist0.
  let victim: Actor

  /// The second instance of the service whose first is the stage's victim.
  static let victimAddress = "198.18.2.3"
  private static let bridge = "10.77.0.200"

  init(_ cluster: ClusterLaboratory, _ stage: Stage) throws {
    let runner = cluster[2]
    guard
      try runner.eventually({ try runner.istbpf("env", "shop/db").status == 0 })
    else { throw Unexpected("the other runner was not told of shop") }
    victim = try Actor(
      runner.start("shop/db", Actor.command[0], Actor.command[1], Actor.command[2]))
    try victim.tell("listen", 3211)
    for each in [stage.runner, runner] {
      guard
        try each.eventually({
          try each.reachable("shop/db").contains(Self.victimAddress)
            && each.reachable("shop/app").count == stage.containers.count
        })
      else { throw Unexpected("a runner was not told of \(Self.victimAddress)") }
    }
    try stage.world.join(cluster.wire, as: Self.bridge)
    for enter in [1, 2].map(cluster.enter) + [["nsenter", "--net=/run/netns/\(cluster.wire.name)"]]
    {
      let result = try run(enter + ["ip", "route", "add", "10.213.0.0/16", "via", Self.bridge])
      guard result.status == 0 else { throw Unexpected(result.errors) }
    }
    try stage.watch(
      by: PacketPrograms.enter(victim.program.processID),
      "capture_relayed", "ist0", Self.victimAddress)
    try stage.watch(by: cluster.enter(2), "capture_from", "wire", "10.213.")
    let facts = [
      "far_db": Self.victimAddress, "runner1": ClusterWire.address(1),
      "runner2": ClusterWire.address(2), "etcd": ClusterWire.hub,
    ]
    for actor in [stage.world.gateway, stage.stranger] + stage.containers.map(\.actor) {
      try actor.tell("know", facts)
    }
  }

  /// Has every attempt at the deployment's victim be one at the other runner's.
  func become(victimOf stage: Stage) throws {
    for container in stage.containers {
      try container.actor.tell("know", ["db": Self.victimAddress])
    }
  }

  /// What its victim accepted or received since the last call; whose, as `tcp from 198.18.1.2`.
  func got() throws -> [String] {
    struct Received: Decodable {
      let what: String
      init(from decoder: any Decoder) throws {
        var list = try decoder.unkeyedContainer()
        what = try list.decode(String.self).replacing("::ffff:", with: "")
      }
    }
    return try JSONDecoder().decode([Received].self, from: Data(try victim.tell("got").utf8))
      .map(\.what)
  }
}
