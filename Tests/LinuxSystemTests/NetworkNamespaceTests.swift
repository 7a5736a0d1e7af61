import Glibc
import LinuxSystem
import TestSupport
import Testing

@Suite("Network namespaces")
struct NetworkNamespaceTests {
  @Test("A named namespace is one that `ip netns` knows, and is gone when deleted")
  func named() throws {
    try NamespaceLaboratory.with { laboratory in
      let (name, namespace) = try laboratory.namespace()
      #expect(NetworkNamespace.exists(named: name))
      #expect(try NetworkNamespace.names(prefix: name) == [name])
      #expect(
        try run("ip", "netns", "list").output.split(separator: "\n").contains { $0.hasPrefix(name) }
      )
      #expect(try NetworkNamespace(named: name).identity == namespace.identity)
      #expect(try namespace.identity != NetworkNamespace.current().identity)
      let error = #expect(throws: SystemError.self) { try NetworkNamespace.create(named: name) }
      #expect(error?.errno == .fileExists)
      #expect(NetworkNamespace.exists(named: name))
      try NetworkNamespace.delete(named: name)
      #expect(!NetworkNamespace.exists(named: name))
      #expect(!SmallFile.exists(NetworkNamespace.path(named: name)))
      try NetworkNamespace.delete(named: name)
    }
  }

  @Test("Of many that create one name at once, one succeeds and the others are told that it exists")
  func race() async throws {
    try await NamespaceLaboratory.with { laboratory in
      let name = laboratory.uniqueName()
      laboratory.atEnd { try? NetworkNamespace.delete(named: name) }
      let made = await withTaskGroup(of: Bool.self) { group in
        for _ in 0..<8 {
          group.addTask { (try? NetworkNamespace.create(named: name)) != nil }
        }
        return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
      }
      #expect(made == 1)
      let path = NetworkNamespace.path(named: name)
      let mounts = try MountTable.current().entries.filter { $0.mountPoint == path }
      #expect(mounts.count == 1)
    }
  }

  @Test("The empty file that a crash left is no namespace, and is taken over")
  func leftover() throws {
    try NamespaceLaboratory.with { laboratory in
      let (name, _) = try laboratory.namespace()
      try NetworkNamespace.delete(named: name)
      _ = try OwnedDescriptor(
        opening: NetworkNamespace.path(named: name), flags: O_CREAT | O_WRONLY)
      #expect(!NetworkNamespace.exists(named: name))
      let error = #expect(throws: SystemError.self) { try NetworkNamespace(named: name) }
      #expect(error?.description.contains("it is not a network namespace") == true)
      _ = try NetworkNamespace.create(named: name)
      #expect(NetworkNamespace.exists(named: name))
    }
  }

  @Test("Work is performed inside the namespace, and its result or error comes back")
  func perform() throws {
    try NamespaceLaboratory.with { laboratory in
      let (_, namespace) = try laboratory.namespace()
      let before = try NetworkNamespace.current().identity
      let inside = try namespace.perform { try NetworkNamespace.current().identity }
      #expect(inside == namespace.identity)
      #expect(try NetworkNamespace.current().identity == before)
      struct Failure: Error {}
      #expect(throws: Failure.self) { try namespace.perform { throw Failure() } }
    }
  }

  @Test("No thread of the process is left in a namespace in which work was performed")
  func noLeak() throws {
    try NamespaceLaboratory.with { laboratory in
      let (_, namespace) = try laboratory.namespace()
      for _ in 0..<20 { try namespace.perform {} }
      _ = try NetworkNamespace.anonymous()
      let threads = try run("sh", "-c", "readlink /proc/\(getpid())/task/*/ns/net | sort -u")
      // Other tests have threads inside their namespaces meanwhile, never in this one.
      #expect(!threads.output.contains("[\(namespace.identity.inode)]"))
    }
  }

  @Test("Names that are no file names are refused", arguments: ["", ".", "..", "a/b", "../x"])
  func badName(_ name: String) throws {
    let error = #expect(throws: SystemError.self) { try NetworkNamespace.create(named: name) }
    #expect(error?.errno == .invalidArgument)
    #expect(throws: SystemError.self) { try NetworkNamespace.delete(named: name) }
  }

  @Test("A process's namespace is that process's, and a process that has ended has none")
  func ofProcess() throws {
    try NamespaceLaboratory.with { laboratory in
      let (name, namespace) = try laboratory.namespace()
      let command = try laboratory.start(in: name, "sh", "-c", "echo ready; exec sleep 60")
      _ = command.awaitLine()
      #expect(try NetworkNamespace(process: command.processID).identity == namespace.identity)
      let error = #expect(throws: SystemError.self) { try NetworkNamespace(process: pid_t.max) }
      #expect(error?.errno == .noSuchFileOrDirectory)
    }
  }
}
