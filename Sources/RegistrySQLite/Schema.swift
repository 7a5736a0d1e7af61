import GRDB

/// The tables of the registry's file, and how a file of an earlier version becomes this one's.
enum Schema {
  /// Marks the file as ours, at offset 68 of it: "istb".
  static let applicationID = 0x6973_7462

  /// The version that this code reads and writes, in the file's `user_version`. A file of an earlier one is brought to it
  /// where it is opened; one of a later version is refused, and not written (`RegistryFile`).
  static var version: Int { migrations.count }

  /// What turns version n into n + 1; the file of version 0 is empty. Entries are only ever added.
  private static let migrations = [first]

  /// Brings the file to `version`, in one transaction that the caller holds.
  static func migrate(_ database: Database) throws {
    let current = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
    if current < version { try makeCurrent(database, from: current) }
    for (table, column, definition) in addedColumns
    where try !database.columns(in: table).contains(where: { $0.name == column }) {
      try database.execute(sql: "ALTER TABLE \(table) ADD COLUMN \(column) \(definition)")
    }
  }

  /// What an earlier istbpf can do without: such a column raises no version, so that the one before
  /// goes on reading and writing the file after a way back. Each may be null.
  private static let addedColumns = [
    ("services", "timeout", "INTEGER CHECK (timeout BETWEEN 1 AND 86400)")
  ]

  private static func makeCurrent(_ database: Database, from current: Int) throws {
    for migration in migrations[current...] { try database.execute(sql: migration) }
    try database.execute(sql: "PRAGMA application_id = \(applicationID)")
    try database.execute(sql: "PRAGMA user_version = \(version)")
  }

  // The key of a `released…` table grows with every insertion (it is the rowid), so its order is the
  // order of the releases. A service's number is released together with its name, so that the name
  // finds it again; instance numbers outlive the service, since the address is what must rest. The checks are what lets rows be read without looking twice, since
  // opening the file verifies them.
  private static let first = """
    CREATE TABLE deployments (
      id INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 16383),
      name TEXT NOT NULL UNIQUE
    ) STRICT;
    CREATE TABLE services (
      deployment INTEGER NOT NULL REFERENCES deployments ON DELETE CASCADE,
      number INTEGER NOT NULL CHECK (number BETWEEN 1 AND 510),
      name TEXT NOT NULL,
      port INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
      isPrivate INTEGER NOT NULL CHECK (isPrivate IN (0, 1)),
      egress TEXT NOT NULL,
      PRIMARY KEY (deployment, number),
      UNIQUE (deployment, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE instances (
      deployment INTEGER NOT NULL,
      service INTEGER NOT NULL,
      number INTEGER NOT NULL CHECK (number BETWEEN 2 AND 254),
      runner TEXT NOT NULL,
      PRIMARY KEY (deployment, service, number),
      FOREIGN KEY (deployment, service) REFERENCES services ON DELETE RESTRICT
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE releasedDeployments (
      sequence INTEGER PRIMARY KEY,
      id INTEGER NOT NULL UNIQUE CHECK (id BETWEEN 1 AND 16383)
    ) STRICT;
    CREATE TABLE releasedServices (
      sequence INTEGER PRIMARY KEY,
      deployment INTEGER NOT NULL REFERENCES deployments ON DELETE CASCADE,
      number INTEGER NOT NULL CHECK (number BETWEEN 1 AND 510),
      name TEXT NOT NULL,
      UNIQUE (deployment, number)
    ) STRICT;
    CREATE TABLE releasedInstances (
      sequence INTEGER PRIMARY KEY,
      deployment INTEGER NOT NULL REFERENCES deployments ON DELETE CASCADE,
      service INTEGER NOT NULL,
      number INTEGER NOT NULL CHECK (number BETWEEN 2 AND 254),
      UNIQUE (deployment, service, number)
    ) STRICT;
    """
}
