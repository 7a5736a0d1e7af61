/// What lies between two hosts.
struct Wire {
  /// From now on nothing gets from one to the other, and nobody is told.
  let cut: () throws -> Void
  /// Undoes it.
  let mend: () throws -> Void
}
