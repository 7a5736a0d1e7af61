import EngineTestSupport
import Foundation
import LinuxSystem
import TestSupport

/// An engine, and what its options may name: other containers, files and sockets of the host.
final class OptionStage {
  /// Another container, with the process id that the host has for it.
  struct Neighbour {
    let id: String
    let process: Int32
  }

  let engine: any OptionEngine
  /// Of no service; it listens on 127.0.0.1:7001.
  let plain: Neighbour
  /// Of the same service as those that are tried.
  let twin: Neighbour
  /// Of another deployment.
  let far: Neighbour

  /// Of no service, with a user namespace of its own; its name, for podman.
  private(set) lazy var remapped: String = {
    let id = "\(engine.runner.installation.name)-remapped"
    do {
      _ = try engine.start(
        id, of: nil, options: ["--uidmap", "0:100000:65536"], ["/bin/sleep", "1000"])
      return id
    } catch { return "\(error)" }
  }()

  private static let server = [
    "/usr/bin/python3", "-c",
    """
    import socket, time
    server = socket.create_server(("127.0.0.1", 7001))
    while True: server.accept()[0].close()
    """,
  ]

  init(_ engine: any OptionEngine) throws {
    self.engine = engine
    let name = engine.runner.installation.name
    func start(_ id: String, _ service: String?, _ command: [String]) throws -> Neighbour {
      let id = "\(name)-\(id)"
      return Neighbour(id: id, process: try engine.start(id, of: service, options: [], command))
    }
    plain = try start("plain", nil, Self.server)
    twin = try start("twin", "shop/app", ["/bin/sleep", "1000"])
    far = try start("far", "other/app", ["/bin/sleep", "1000"])
    try makeFiles()
    _ = harmlessSocket
  }

  var directory: String { engine.directory }
  var runDirectory: String { engine.runner.installation.runtimeDirectory }
  var stateDirectory: String { engine.runner.installation.stateDirectory }
  /// This process's: those of 1 cannot be read where a sandbox is round all that runs here.
  var hostNamespaces: String { "/proc/\(getpid())/ns" }
  var fabric: String { "/run/netns/\(engine.runner.installation.fabricPrefix)shop" }
  var socket: String { engine.socket }
  var socketDirectory: String { (engine.socket as NSString).deletingLastPathComponent }
  var data: String { "\(directory)/data" }
  var hooks: String { "\(directory)/hooks" }
  /// Each with a socket of root's that was bound by the name `socket`, by a program that is still in that directory,
  /// and by one that has left it.
  var directoryOfProgram: String { "\(directory)/relative" }
  var directoryThatProgramLeft: String { "\(directory)/left" }
  /// With a socket that was bound by the name `underway`, and that no process has.
  private(set) lazy var directoryOfSocketUnderWay: String = {
    let path = "\(directory)/underway"
    do {
      try awaitListening(
        Conversation([
          "/usr/bin/python3", "-c",
          """
          import os, socket, sys, time
          os.mkdir(sys.argv[1])
          os.chdir(sys.argv[1])
          server = socket.socket(socket.AF_UNIX)
          server.bind("underway")
          server.listen()
          ends = socket.socketpair()
          socket.send_fds(ends[0], [b"x"], [server.fileno()])
          server.close()
          print("listens", flush=True)
          time.sleep(1000)
          """, path,
        ]))
    } catch { return "\(error)" }
    return path
  }()
  var harmlessSocket: String { "\(directory)/data/socket" }
  var cgroups: String { (try? CgroupHierarchy.find().mountPoint) ?? "" }

  var twinCgroup: String { (try? CgroupHierarchy.find().cgroup(of: twin.process).path) ?? "" }
  var twinCgroupName: String { String(twinCgroup.dropFirst(cgroups.count)) }

  func isDirectory(_ path: String) -> Bool {
    var isDirectory: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
      && isDirectory.boolValue
  }

  /// A node of a device, made if it is not there.
  func node(_ name: String, _ kind: String, _ major: Int, _ minor: Int) -> String {
    let path = "\(directory)/\(name)"
    _ = try? run("mknod", path, kind, "\(major)", "\(minor)")
    return path
  }

  private func makeFiles() throws {
    let hook = """
      {"version":"1.0.0","hook":{"path":"/bin/true","args":["true"]},"when":{"always":true},
      "stages":["prestart","createRuntime","poststart","poststop"]}
      """
    let script = """
      mkdir -p \(data) \(hooks)
      ln -s \(runDirectory) \(directory)/link-to-run
      ln -s \(socket) \(directory)/link-to-socket
      ln -s \(hostNamespaces)/pid \(directory)/link-to-pid
      echo '\(hook)' >\(hooks)/true.json
      chmod 711 \(directory)
      chown 65534 \(data)
      """
    let made = try run("bash", "-ec", script)
    guard made.status == 0 else { throw EngineFailure(made.errors) }
    let program = try Conversation([
      "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "/usr/bin/python3", "-c",
      """
      import socket, sys, time
      server = socket.socket(socket.AF_UNIX)
      server.bind(sys.argv[1])
      server.listen()
      print("listens", flush=True)
      time.sleep(1000)
      """, harmlessSocket,
    ])
    try awaitListening(program)
    for (path, destination) in [
      (directoryOfProgram, directoryOfProgram), (directoryThatProgramLeft, "/"),
    ] {
      try awaitListening(
        Conversation([
          "/usr/bin/python3", "-c",
          """
          import os, socket, sys, time
          os.mkdir(sys.argv[1])
          os.chdir(sys.argv[1])
          server = socket.socket(socket.AF_UNIX)
          server.bind("socket")
          server.listen()
          os.chdir(sys.argv[2])
          print("listens", flush=True)
          time.sleep(1000)
          """, path, destination,
        ]))
    }
  }

  private func awaitListening(_ program: Conversation) throws {
    engine.runner.laboratory.atEnd { program.stop() }
    guard program.awaitLine() == "listens" else {
      throw EngineFailure(program.errorText)
    }
  }
}
