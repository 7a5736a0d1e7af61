import LinuxSystem
import TestSupport

extension Run {
  /// What is seen on a path.
  static func transcripts(_ cases: [Case], _ path: Path) async throws -> [String: Transcript] {
    switch path {
    case .direct: try await direct(cases)
    case .oneRunner: try await onOneRunner(cases)
    case .acrossRunners: try await acrossRunners(cases)
    }
  }

  /// Between two namespaces that one veth joins. The programs have no more rights than in an instance.
  private static func direct(_ cases: [Case]) async throws -> [String: Transcript] {
    try NamespaceLaboratory.with { laboratory in
      let ends = Ends(clientAsked: "198.18.1.2", serverAsked: "198.18.2.2", empty: "198.18.2.2")
      let run = try Run(ends, laboratory)
      let (caller, server) = (try laboratory.namespace().name, try laboratory.namespace().name)
      try ip(
        "link", "add", "veth", "netns", caller, "type", "veth", "peer", "veth", "netns", server)
      for (name, address) in [(caller, ends.client), (server, ends.server)] {
        try ip("-n", name, "address", "add", "\(address)/15", "dev", "veth")
        try ip("-n", name, "link", "set", "lo", "up")
        try ip("-n", name, "link", "set", "veth", "up")
      }
      func start(_ name: String, _ command: [String]) throws -> Conversation {
        let program = try Conversation(
          ["nsenter", "--net=/run/netns/\(name)", "setpriv", "--inh-caps=-all"]
            + ["--bounding-set=-all,\(capabilities)", "--"] + command)
        laboratory.atEnd { program.stop() }
        return try ready(program)
      }
      let wire = Wire {
        for name in [caller, server] { try qdisc(name, "replace", "blackhole") }
      } mend: {
        for name in [caller, server] { try qdisc(name, "del") }
      }
      return try run.transcripts(
        cases, start(server, run.server), start(caller, run.client), wire: wire)
    }
  }

  /// What `istbpf run` leaves.
  private static let capabilities =
    "+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,"
    + "+sys_chroot,+audit_write,+setfcap"

  private static let services = Ends(
    clientAsked: "198.18.1.1", serverAsked: "198.18.2.1", empty: "198.18.3.1")

  private static func onOneRunner(_ cases: [Case]) async throws -> [String: Transcript] {
    var transcripts: [String: Transcript] = [:]
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db", "empty")
      let run = try Run(services, runner.laboratory)
      let server = try start("shop/db", on: runner, run.server)
      transcripts = try run.transcripts(cases, server, start("shop/app", on: runner, run.client))
    }
    return transcripts
  }

  private static func acrossRunners(_ cases: [Case]) async throws -> [String: Transcript] {
    var transcripts: [String: Transcript] = [:]
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db", "empty")
      let run = try Run(services, cluster[1].laboratory)
      let server = try start("shop/db", on: cluster[2], run.server)
      let client = try start("shop/app", on: cluster[1], run.client)
      for runner in [cluster[1], cluster[2]] {
        let areKnown = try runner.eventually {
          try ["shop/app", "shop/db"].allSatisfy { try runner.reachable($0).count == 1 }
        }
        guard areKnown else { throw Unexpected("an instance is not known") }
      }
      let wire = Wire {
        try cluster.wire.separateRunners(true)
      } mend: {
        try cluster.wire.separateRunners(false)
      }
      transcripts = try run.transcripts(cases, server, client, wire: wire)
    }
    return transcripts
  }

  private static func start(
    _ service: String, on runner: RunnerLaboratory, _ command: [String]
  ) throws -> Conversation {
    // istbpf run takes the command word by word.
    try ready(
      runner.start(service, command[0], command[1], command[2], command[3], command[4]))
  }

  private static func ready(_ program: Conversation) throws -> Conversation {
    let line = try program.nextLine(patience: 60 * Double(slowness))
    guard line == "ready" else { throw Unexpected(line) }
    return program
  }

  private static func qdisc(_ name: String, _ verb: String, _ kind: String...) throws {
    let result = try TestSupport.run(
      ["tc", "-netns", name, "qdisc", verb, "dev", "veth", "root"] + kind)
    guard result.status == 0 else { throw Unexpected(result.errors) }
  }

  private static func ip(_ arguments: String...) throws {
    let result = try TestSupport.run(["ip"] + arguments)
    guard result.status == 0 else { throw Unexpected(result.errors) }
  }
}
