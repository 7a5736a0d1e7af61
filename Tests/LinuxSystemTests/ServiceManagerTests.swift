import Glibc
import TestSupport
import Testing

@testable import LinuxSystem

@Suite("systemd")
struct ServiceManagerTests {
  /// A socket for datagrams, as systemd or journald has one.
  private final class Listener {
    let path: String
    let descriptor: Int32

    /// At a path, or for one that begins with `@` by an abstract name.
    init(_ path: String) {
      self.path = path
      descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
      var name = sockaddr_un()
      name.sun_family = sa_family_t(AF_UNIX)
      var bytes = Array(path.utf8)
      if path.hasPrefix("@") { bytes[0] = 0 }
      withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: bytes) }
      let size = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
      let result = withUnsafePointer(to: &name) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) }
      }
      precondition(result == 0, "bind \(path): \(String(cString: strerror(errno)))")
    }

    deinit {
      close(descriptor)
      unlink(path)
    }

    func receive() -> [UInt8] {
      var buffer = [UInt8](repeating: 0, count: 4096)
      let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
      return Array(buffer.prefix(max(count, 0)))
    }

    var text: String { String(decoding: receive(), as: UTF8.self) }
  }

  private static func path(_ name: String) -> String { "/tmp/istbpf-\(name)-\(getpid()).sock" }

  @Test("What it is told reaches its socket, at a path and by an abstract name")
  func tell() throws {
    for path in [Self.path("notify"), "@istbpf-notify-\(getpid())"] {
      let listener = Listener(path)
      let manager = ServiceManager(environment: ["NOTIFY_SOCKET": path].get)
      #expect(manager.isThere)
      try manager.tell(.ready, .status("3 instances\nof 2 deployments"))
      #expect(listener.text == "READY=1\nSTATUS=3 instances of 2 deployments")
      try manager.tell(.alive)
      #expect(listener.text == "WATCHDOG=1")
      try manager.tell(.reloading)
      #expect(listener.text.wholeMatch(of: /RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]*/) != nil)
      try manager.tell(.stopping)
      #expect(listener.text == "STOPPING=1")
    }
  }

  @Test(
    "Nobody is told where no systemd started it, and a socket that is gone is an error that names it"
  )
  func nobody() throws {
    let manager = ServiceManager(environment: { _ in nil })
    #expect(!manager.isThere && manager.watchdog == nil)
    try manager.tell(.ready)
    let gone = ServiceManager(environment: ["NOTIFY_SOCKET": "/tmp/istbpf-no-such.sock"].get)
    let error = #expect(throws: SystemError.self) { try gone.tell(.ready) }
    #expect(error?.description.contains("/tmp/istbpf-no-such.sock") == true)
    let long = ServiceManager(
      environment: ["NOTIFY_SOCKET": "/" + String(repeating: "x", count: 200)].get)
    #expect(throws: SystemError.self) { try long.tell(.ready) }
  }

  @Test("The watchdog's time is for the process that it names alone")
  func watchdog() {
    func watchdog(_ environment: [String: String]) -> Duration? {
      ServiceManager(environment: environment.get).watchdog
    }
    #expect(watchdog(["WATCHDOG_USEC": "120000000"]) == .seconds(120))
    #expect(
      watchdog(["WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "\(getpid())"]) == .seconds(3))
    #expect(watchdog(["WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"]) == nil)
    for text in ["0", "-1", "", "soon"] { #expect(watchdog(["WATCHDOG_USEC": text]) == nil) }
  }

  @Test("A journal entry has each field, and a value of several lines whole")
  func journal() throws {
    let listener = Listener(Self.path("journal"))
    try Journal(socket: listener.path).write([
      ("MESSAGE", "two\nlines"), ("ISTBPF_INSTANCE", "shop/db.2"),
    ])
    let expected =
      Array("MESSAGE\n".utf8) + [9, 0, 0, 0, 0, 0, 0, 0]
      + Array("two\nlines\nISTBPF_INSTANCE=shop/db.2\n".utf8)
    #expect(listener.receive() == expected)
  }

  @Test("The journal is used only where standard error is the stream that systemd made")
  func stream() throws {
    var status = stat()
    #expect(fstat(2, &status) == 0)
    let own = "\(status.st_dev):\(status.st_ino)"
    #expect(Journal.ofStandardError(stream: own) != nil)
    #expect(Journal.ofStandardError(stream: "\(status.st_dev):\(status.st_ino + 1)") == nil)
    #expect(Journal.ofStandardError(stream: nil) == nil)
  }
}

extension Dictionary<String, String> {
  fileprivate func get(_ name: String) -> String? { self[name] }
}
