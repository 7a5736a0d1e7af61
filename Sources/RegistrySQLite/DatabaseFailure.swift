import GRDB
import Registry

/// A row that this code would never have written.
struct ImpossibleRow: Error {
  let detail: String
}

/// What `body` returns; its errors of SQLite as the registry's own, about the file `path`.
func translatingErrors<Result>(of path: String, _ body: () throws -> Result) throws -> Result {
  do { return try body() } catch { throw translated(error, of: path) }
}

/// What `body` returns; its errors of SQLite as the registry's own, about the file `path`.
func translatingErrors<Result: Sendable>(
  of path: String, _ body: () async throws -> Result
) async throws -> Result {
  do { return try await body() } catch { throw translated(error, of: path) }
}

private func translated(_ error: any Error, of path: String) -> any Error {
  if let row = error as? ImpossibleRow {
    return RegistryError.corrupt(file: path, detail: row.detail)
  }
  guard let error = error as? DatabaseError else { return error }
  // The extended code's words, which tell a failing write from a failing read.
  let message = error.message ?? "no message"
  let detail = "\(message) (SQLite error \(error.extendedResultCode.rawValue))"
  switch error.resultCode {
  case .SQLITE_FULL, .SQLITE_IOERR: return RegistryError.full(file: path, detail: detail)
  case .SQLITE_CORRUPT: return RegistryError.corrupt(file: path, detail: detail)
  case .SQLITE_NOTADB:
    return RegistryError.foreign(
      file: path, detail: "it is no SQLite database, or its first page is damaged")
  case .SQLITE_BUSY, .SQLITE_LOCKED: return RegistryError.busy(file: path)
  default: return RegistryError.unavailable(file: path, detail: detail)
  }
}
