import Foundation
import GRDB
import Model
import Registry
@testable import RegistrySQLite
import Testing

@Suite struct RegistryFileTests {
  private let files: TemporaryRegistry

  init() throws { files = try TemporaryRegistry() }

  /// Opens the file, which must be refused and left as it is.
  private func refusal() throws -> RegistryError? {
    let before = try files.contents()
    let error = #expect(throws: RegistryError.self) { try files.open() }
    // A reader of the WAL may leave its index, which holds nothing of its own.
    #expect(
      try files.contents().filter { before[$0.key] != nil && !$0.key.hasSuffix("-shm") }
        == before.filter { !$0.key.hasSuffix("-shm") })
    #expect(error?.description.contains(files.path) == true)
    return error
  }

  @Test func `only the owner can read the files`() async throws {
    let registry = try files.open()
    _ = try await registry.declare(declarations("app"), in: shop, replace: false)
    for name in ["", "-wal", "-shm"] {
      let attributes = try FileManager.default.attributesOfItem(atPath: files.path + name)
      #expect(attributes[.posixPermissions] as? Int == 0o600, "registry.sqlite\(name)")
    }
    try registry.close()
    try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: files.path)
    try files.open().close()
    let attributes = try FileManager.default.attributesOfItem(atPath: files.path)
    #expect(attributes[.posixPermissions] as? Int == 0o600)
  }

  @Test func `what was declared is there after the file was closed and opened`() async throws {
    let registry = try files.open()
    _ = try await registry.declare(declarations("app", "db"), in: shop, replace: false)
    let instance = try await registry.allocateInstance(of: service("db"), in: shop, runner: "r1")
    let services = try await registry.services(of: shop)
    try registry.close()
    let again = try files.open()
    #expect(try await again.services(of: shop) == services)
    #expect(try await again.instances() == [instance])
  }

  @Test func `an empty file becomes a registry`() async throws {
    #expect(FileManager.default.createFile(atPath: files.path, contents: Data()))
    #expect(try await files.open().deployments().isEmpty)
  }

  @Test func `a database that a crash left before its first table becomes a registry`() async throws
  {
    try files.execute("PRAGMA journal_mode = WAL")
    #expect(try #require(try files.contents()["registry.sqlite"]).count > 0)
    #expect(try await files.open().deployments().isEmpty)
  }

  @Test func `a text file is refused`() throws {
    let text = Data(String(repeating: "This is a letter, and no database.\n", count: 500).utf8)
    #expect(FileManager.default.createFile(atPath: files.path, contents: text))
    guard case .foreign = try refusal() else { Issue.record("not foreign"); return }
  }

  @Test(arguments: [
    "CREATE TABLE albums (title TEXT)", "PRAGMA application_id = 7", "PRAGMA user_version = 1",
    "PRAGMA journal_mode = WAL; CREATE TABLE albums (title TEXT)",
  ])
  func `another program's database is refused`(sql: String) throws {
    try files.execute(sql)
    guard case .foreign = try refusal() else { Issue.record("not foreign"); return }
  }

  @Test func `another program's open database keeps its journal when it is refused`() throws {
    let queue = try DatabaseQueue(path: files.path)
    try queue.writeWithoutTransaction {
      try $0.execute(sql: "PRAGMA journal_mode = WAL; CREATE TABLE albums (title TEXT)")
    }
    // A copy taken now is what a crash of that program would leave.
    let crashed = try TemporaryRegistry()
    for name in ["registry.sqlite", "registry.sqlite-wal"] {
      try FileManager.default.copyItem(
        atPath: "\(files.directory)/\(name)", toPath: "\(crashed.directory)/\(name)")
    }
    let before = try crashed.contents()
    #expect(before.count == 2)
    let error = #expect(throws: RegistryError.self) { try crashed.open() }
    guard case .foreign = error else { Issue.record("\(String(describing: error))"); return }
    let after = try crashed.contents()
    #expect(after.filter { !$0.key.hasSuffix("-shm") } == before)
  }

  @Test func `a file from before timeouts gets their column, and may go back`() async throws {
    let registry = try files.open()
    _ = try await registry.declare(declarations("app"), in: shop, replace: false)
    try registry.close()
    try files.execute("ALTER TABLE services DROP COLUMN timeout")

    let patient = ServiceDeclaration(
      name: service("app"), timeout: RequestTimeout(seconds: 90))
    let newer = try files.open()
    #expect(try await newer.services(of: shop).map(\.timeout) == [nil])
    _ = try await newer.declare([patient], in: shop, replace: false)
    try newer.close()
    // What the version before this column does with the file: it reads the version and the rows by
    // name, and writes the columns that it knows.
    try files.execute(
      """
      INSERT INTO services (deployment, number, name, port, isPrivate, egress)
        VALUES (1, 2, 'db', 8080, 0, '');
      UPDATE services SET port = 81, isPrivate = 0, egress = '' WHERE deployment = 1 AND number = 1;
      """)
    let again = try files.open()
    #expect(try await again.services(of: shop).map(\.timeout?.seconds) == [90, nil])
    let version = try await again.queue.read { try Int.fetchOne($0, sql: "PRAGMA user_version") }
    #expect(version == 1)
  }

  @Test func `a registry of a later version is refused`() throws {
    try files.open().close()
    try files.execute("PRAGMA user_version = 99")
    #expect(try refusal() == .newer(file: files.path, version: 99, known: 1))
  }

  @Test(arguments: [1, 2, 5]) func `a damaged page is found at open`(page: Int) async throws {
    let registry = try files.open()
    for index in 0..<40 {
      _ = try await registry.declare(
        declarations("app", "db"), in: name("d\(index)"), replace: false)
    }
    try registry.close()
    let handle = try #require(FileHandle(forWritingAtPath: files.path))
    // Of the first page only what follows the file's header, which tells whose the file is.
    try handle.seek(toOffset: UInt64((page - 1) * 4096 + (page == 1 ? 100 : 0)))
    try handle.write(contentsOf: Data(repeating: 0xa5, count: 512))
    try handle.close()
    let error = try refusal()
    guard case .corrupt = error else { Issue.record("\(String(describing: error))"); return }
    #expect(error?.description.contains("backup") == true)
  }

  @Test func `a truncated file is found at open`() async throws {
    let registry = try files.open()
    _ = try await registry.declare(declarations("app"), in: shop, replace: false)
    try registry.close()
    #expect(truncate(files.path, 8192) == 0)
    guard case .corrupt = try refusal() else { Issue.record("not corrupt"); return }
  }

  @Test(arguments: [
    "PRAGMA foreign_keys = OFF; INSERT INTO instances VALUES (1, 99, 2, 'r1')",
    "PRAGMA ignore_check_constraints = ON; UPDATE services SET number = 999",
  ])
  func `rows that cannot be are found at open`(sql: String) async throws {
    let registry = try files.open()
    _ = try await registry.declare(declarations("app"), in: shop, replace: false)
    try registry.close()
    try files.execute(sql)
    guard case .corrupt = try refusal() else { Issue.record("not corrupt"); return }
  }

  @Test func `a name that could not have been declared is damage and no crash`() async throws {
    let registry = try files.open()
    _ = try await registry.declare(declarations("app"), in: shop, replace: false)
    try files.execute("UPDATE services SET name = 'a b'")
    let error = await #expect(throws: RegistryError.self) { try await registry.services(of: shop) }
    guard case .corrupt = error else { Issue.record("\(String(describing: error))"); return }
  }

  @Test func `a path that holds no file is refused with the cause`() throws {
    let missing = files.directory + "/missing/registry.sqlite"
    let error = #expect(throws: RegistryError.self) { try SQLiteRegistry(path: missing) }
    #expect(error?.description.contains("No such file or directory") == true)
    let directory = #expect(throws: RegistryError.self) {
      try SQLiteRegistry(path: files.directory)
    }
    #expect(directory?.description.contains("not a regular file") == true)
  }

  @Test func `a commit is on the disk before its call returns`() throws {
    let registry = try files.open()
    let settings = try registry.queue.read { database in
      try ["journal_mode", "synchronous", "foreign_keys"].map {
        try String.fetchOne(database, sql: "PRAGMA \($0)")
      }
    }
    // 2 is FULL: the journal is synced with every commit.
    #expect(settings == ["wal", "2", "1"])
  }

  @Test func `a file that another process holds is waited for and then refused`() async throws {
    let registry = try SQLiteRegistry(path: files.path, patience: 0.1)
    var configuration = Configuration()
    configuration.allowsUnsafeTransactions = true
    let holder = try DatabaseQueue(path: files.path, configuration: configuration)
    try await holder.writeWithoutTransaction { try $0.execute(sql: "BEGIN IMMEDIATE") }
    await #expect(throws: RegistryError.busy(file: files.path)) {
      try await registry.declare(declarations("app"), in: shop, replace: false)
    }
    #expect(try await registry.deployments().isEmpty)
    try await holder.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
    _ = try await registry.declare(declarations("app"), in: shop, replace: false)
    #expect(try await registry.deployments().count == 1)
  }
}
