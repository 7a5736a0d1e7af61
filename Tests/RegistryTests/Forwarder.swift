import Foundation
import Glibc

/// Carries TCP from a port of its own to another, until it is cut.
final class Forwarder: @unchecked Sendable {
  let port: Int
  private let process = Process()
  private let control = Pipe()

  init(to target: Int) throws {
    let output = Pipe()
    process.executableURL = URL(filePath: "/usr/bin/python3")
    process.arguments = ["-c", Self.program, "\(target)"]
    process.standardInput = control
    process.standardOutput = output
    try process.run()
    let line = output.fileHandleForReading.availableData
    port =
      Int(String(decoding: line, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
      ?? 0
  }

  deinit {
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }

  /// Ends every connection and takes no new one.
  func cut() { control.fileHandleForWriting.write(Data("cut\n".utf8)) }

  /// Ends every connection, and takes new ones without a word.
  func mute() { control.fileHandleForWriting.write(Data("mute\n".utf8)) }

  /// Takes connections again.
  func resume() { control.fileHandleForWriting.write(Data("resume\n".utf8)) }

  private static let program = """
    import socket, sys, threading
    target, mode, open_sockets = int(sys.argv[1]), "resume", []
    server = socket.socket(); server.bind(("127.0.0.1", 0)); server.listen()
    print(server.getsockname()[1], flush=True)
    def carry(a, b):
        try:
            while data := a.recv(65536): b.sendall(data)
        except OSError: pass
        for s in (a, b):
            try: s.shutdown(socket.SHUT_RDWR)
            except OSError: pass
    def serve():
        while True:
            a, _ = server.accept()
            if mode == "cut": a.close(); continue
            if mode == "mute": open_sockets.append(a); continue
            b = socket.create_connection(("127.0.0.1", target))
            open_sockets.extend((a, b))
            for pair in ((a, b), (b, a)): threading.Thread(target=carry, args=pair, daemon=True).start()
    threading.Thread(target=serve, daemon=True).start()
    for line in sys.stdin:
        mode = line.strip()
        if mode != "resume":
            for s in open_sockets:
                try: s.shutdown(socket.SHUT_RDWR)
                except OSError: pass
            open_sockets.clear()
    """
}
