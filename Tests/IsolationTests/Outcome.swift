import Foundation

/// What came of a row in a mode.
struct Outcome {
  /// What the program says: an errno's name, `timeout`, `done` or `breach: ...`.
  let answer: String
  /// What those saw who must see nothing.
  let arrived: [String]

  /// How Programs/watching.py describes an ARP frame.
  static let neighbourRequest = "ethertype 0x0806"

  var isStopped: Bool { arrived.isEmpty && !answer.hasPrefix("breach") }

  /// Whether the kernel has not what the attempt needs.
  var isUnknownToKernel: Bool {
    [
      "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EAFNOSUPPORT", "ENOPROTOOPT", "ENOSYS", "ENOENT",
      "ENODEV",
    ].contains(answer)
  }
}

/// A row and what came of it in each mode.
struct RowResult {
  let row: Row
  let outcomes: [Mode: Outcome]

  /// The layers that stop it each by itself.
  var stoppedAloneBy: [Layer] {
    Layer.allCases.filter { outcomes[.only($0)]?.isStopped == true }
  }

  /// Whether the kernel has what the attempt takes, going by what it does without layers.
  var isPossible: Bool { outcomes[.none]?.isUnknownToKernel != true }
}

extension Stage {
  /// Tries a row in all containers at once.
  func attempt(_ row: Row, port: Int) throws -> RowResult {
    let answers: [String]
    do {
      answers = try row.side == .container ? tryOut(row, port) : tryIn(row, port)
    } catch {
      throw Unexpected("\(row.attempt): \(error)")
    }
    usleep(UInt32(20_000))
    var arrived = try row.side == .container ? seen(port) : got()
    // Where one arrives without layers, those behind walls have had as long, and twice.
    for _ in 0..<20 where arrived[Mode.none, default: []].isEmpty && row.shouldArrive {
      usleep(10_000)
      arrived.merge(try row.side == .container ? seen(port) : got()) { $0 + $1 }
    }
    if row.side != .container { _ = try seen(port) }
    return RowResult(
      row: row,
      outcomes: Dictionary(
        uniqueKeysWithValues: zip(containers, answers).map { container, answer in
          (container.mode, Outcome(answer: answer, arrived: arrived[container.mode] ?? []))
        }))
  }

  private func tryOut(_ row: Row, _ port: Int) throws -> [String] {
    for container in containers { try container.actor.begin("attempt", row.program, port) }
    return try containers.map { try $0.actor.answer() }
  }

  private func tryIn(_ row: Row, _ port: Int) throws -> [String] {
    let actor =
      switch row.side {
      case .deployment: stranger
      case .neighbour: world.neighbour
      default: world.gateway
      }
    let targets = containers.map {
      [
        "target": $0.eth0, "target6": $0.eth0v6, "own": $0.instance.address,
        "service": "198.18.1.1",
      ]
    }
    try actor.begin("attempt_each", row.program, port, targets)
    return try JSONDecoder().decode([String].self, from: Data(try actor.answer().utf8))
  }

  private struct Frame: Decodable {
    let who: String, what: String, port: Int
    init(from decoder: any Decoder) throws {
      var list = try decoder.unkeyedContainer()
      (who, what) = (try list.decode(String.self), try list.decode(String.self))
      port = try list.decode(Int.self)
    }
  }

  private struct Received: Decodable {
    let what: String, port: Int
    init(from decoder: any Decoder) throws {
      var list = try decoder.unkeyedContainer()
      (what, port) = (try list.decode(String.self), try list.decode(Int.self))
    }
  }

  /// What arrived outside, on the ist0 of victims, and in the fabric, by the mode that it came from. Of
  /// TCP and UDP over the bridge only what went to `port`, or to one that is no row's: something may be late.
  private func seen(_ port: Int) throws -> [Mode: [String]] {
    let byPort = Dictionary(uniqueKeysWithValues: containers.map { ($0.port, $0.mode) })
    let byAddress = Dictionary(
      uniqueKeysWithValues: containers.flatMap {
        [($0.instance.address, $0.mode), ($0.eth0, $0.mode)]
      })
    var arrived: [Mode: [String]] = [:]
    for actor in [world.gateway] + watchers {
      let frames = try JSONDecoder().decode([Frame].self, from: Data(try actor.tell("seen").utf8))
      for frame in frames where frame.port == port || !Self.rowPorts.contains(frame.port) {
        // In a fabric, whose it is the hardware address tells; one that is nobody's is everybody's.
        let mode = byPort[frame.who] ?? byAddress[frame.who] ?? .all
        arrived[mode, default: []].append(frame.what)
      }
    }
    let accepted = try JSONDecoder().decode(
      [Received].self, from: Data(try fabricListener.tell("got").utf8))
    for one in accepted {
      let address = one.what.split(separator: " ").last.map(String.init)?.replacing(
        "::ffff:", with: "")
      arrived[byAddress[address ?? ""] ?? .all, default: []].append("\(one.what) in the fabric")
    }
    return arrived
  }

  /// What arrived anywhere, whatever row it was of.
  func everythingSeen() throws -> [String] {
    try ([world.gateway] + watchers).flatMap { actor in
      try JSONDecoder().decode([Frame].self, from: Data(try actor.tell("seen").utf8)).map(\.what)
    }
  }

  /// What the listening sockets of the containers got.
  private func got() throws -> [Mode: [String]] {
    try Dictionary(
      uniqueKeysWithValues: containers.map { container in
        let received = try JSONDecoder().decode(
          [Received].self, from: Data(try container.actor.tell("got").utf8))
        return (container.mode, received.map(\.what))
      })
  }

  /// A port for each row, so that what is late is not taken for what comes after it.
  static let rowPorts = 20_000..<21_000
}

extension Row {
  /// Whether something must arrive without layers.
  var shouldArrive: Bool {
    if case .arrives = proof { return true }
    return false
  }
}
