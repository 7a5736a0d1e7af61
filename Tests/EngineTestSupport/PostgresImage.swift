import Foundation
import TestSupport
import Testing

/// An image with PostgreSQL's server and client, made of Debian's packages: nothing is downloaded.
enum PostgresImage {
  /// The path of the root's archive, which is kept among the build's products.
  static func archive() throws -> String {
    let products = URL(fileURLWithPath: try Product.istbpfOCI()).deletingLastPathComponent()
    let archive = products.appendingPathComponent("images/postgres.tar").path
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Programs/postgres-image").path
    let made = try run(script, archive)
    #expect(made.status == 0, "\(made.errors)")
    return archive
  }
}
