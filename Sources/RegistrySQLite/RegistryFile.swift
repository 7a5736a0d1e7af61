import GRDB
import Glibc
import Registry

/// Opens the registry's file: makes it where there is none, and refuses one that is not ours, is of a
/// later version or is damaged, without writing to it.
struct RegistryFile {
  let path: String

  /// How long to wait for another process that writes, in seconds.
  let patience: Double

  /// An open connection to the file, in the schema of this version.
  ///
  /// - Throws: `RegistryError`.
  func open() throws -> DatabaseQueue {
    try create()
    return try translatingErrors(of: path) {
      try examine()
      try protect()
      let queue = try DatabaseQueue(path: path, configuration: configuration)
      // Again, since SQLite passes over CHECK constraints on a connection that only reads.
      try queue.read(check)
      // In WAL mode a commit is one write and one fsync, and another process can read meanwhile. The
      // rollback journal's commit is the deletion of a file, which FULL does not make lasting.
      let mode = try queue.writeWithoutTransaction { database in
        try String.fetchOne(database, sql: "PRAGMA journal_mode = WAL")
      }
      guard mode == "wal" else {
        throw RegistryError.unavailable(
          file: path, detail: "its file system has no shared memory maps, which SQLite's WAL needs")
      }
      try queue.write(Schema.migrate)
      return queue
    }
  }

  /// What holds for every connection.
  private var configuration: Configuration {
    var configuration = Configuration()
    configuration.busyMode = .timeout(patience)
    configuration.foreignKeysEnabled = true
    configuration.prepareDatabase { database in
      // A commit has reached the disk before its caller is told.
      try database.execute(sql: "PRAGMA synchronous = FULL")
      // Damage is met as an error rather than as a wrong answer.
      try database.execute(sql: "PRAGMA cell_size_check = ON")
      try database.execute(sql: "PRAGMA trusted_schema = OFF")
    }
    return configuration
  }

  /// Makes an empty file that only its owner can read, since SQLite itself would follow the umask.
  private func create() throws {
    let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      switch errno {
      case EEXIST: return
      case ENOSPC, EDQUOT: throw RegistryError.full(file: path, detail: Self.message(errno))
      default: throw RegistryError.unavailable(file: path, detail: Self.message(errno))
      }
    }
    close(descriptor)
    // The new entry of the directory has to last as well, and SQLite sees to that only for journals.
    let slash = path.lastIndex(of: "/")
    let directory = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let parent = Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard parent >= 0 else {
      throw RegistryError.unavailable(file: path, detail: "\(directory): \(Self.message(errno))")
    }
    defer { close(parent) }
    guard fsync(parent) == 0 else {
      throw RegistryError.full(file: path, detail: "\(directory): \(Self.message(errno))")
    }
  }

  /// Takes the file from everyone but its owner, whatever a restore or a copy made of it.
  private func protect() throws {
    for file in [path, path + "-wal", path + "-shm"] {
      guard chmod(file, 0o600) == 0 || errno == ENOENT else {
        throw RegistryError.unavailable(file: file, detail: "chmod: \(Self.message(errno))")
      }
    }
  }

  /// Checks that the file is empty, or a whole registry of a version that is known.
  private func examine() throws {
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw RegistryError.unavailable(file: path, detail: Self.message(errno))
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw RegistryError.unavailable(file: path, detail: "it is not a regular file")
    }
    if status.st_size == 0 { return }
    // Read-only, for the last connection that can write empties the WAL into the file as it closes,
    // and a file that is refused is to stay as it is.
    var readOnly = configuration
    readOnly.readonly = true
    do {
      try DatabaseQueue(path: path, configuration: readOnly).read(check)
    } catch let error as DatabaseError where error.resultCode == .SQLITE_READONLY {
      // A writer of the rollback journal crashed, which ours is only while it makes the file; to read
      // on is to finish its rollback.
      try DatabaseQueue(path: path, configuration: configuration).read(check)
    }
  }

  private func check(_ database: Database) throws {
    let application = try Int.fetchOne(database, sql: "PRAGMA application_id") ?? 0
    let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
    let tables = try String.fetchAll(database, sql: "SELECT name FROM sqlite_master LIMIT 3")
    // A crash between making the file and its first transaction leaves a database with nothing in it.
    if application == 0, version == 0, tables.isEmpty { return }
    guard application == Schema.applicationID else {
      let contents = tables.isEmpty ? "" : ", with \(tables.joined(separator: ", "))"
      throw RegistryError.foreign(
        file: path,
        detail: "it is another program's SQLite database (application_id \(application)\(contents))"
      )
    }
    guard version <= Schema.version else {
      throw RegistryError.newer(file: path, version: version, known: Schema.version)
    }
    let damage = try String.fetchOne(database, sql: "PRAGMA quick_check(1)") ?? "no answer"
    guard damage == "ok" else { throw RegistryError.corrupt(file: path, detail: damage) }
    if let row = try Row.fetchOne(database, sql: "PRAGMA foreign_key_check") {
      let table = row[0] as String? ?? ""
      throw RegistryError.corrupt(file: path, detail: "a row of \(table) refers to a missing one")
    }
  }

  private static func message(_ code: Int32) -> String { String(cString: strerror(code)) }
}
