import TestSupport

/// Which layers stand while an attempt is made.
struct Mode: Hashable {
  let layers: Set<Layer>
  /// Of which engine the container is, with all layers; nil where it is of `istbpf run`.
  var engine: String?

  /// As users have it.
  static let all = Mode(layers: Set(Layer.allCases))
  /// No wall at all: what a row that arrives here proves of the others.
  static let none = Mode(layers: [])
  static func without(_ layer: Layer) -> Mode { Mode(layers: all.layers.subtracting([layer])) }
  static func only(_ layer: Layer) -> Mode { Mode(layers: [layer]) }

  /// Where each takes long, without those of one layer taken away, unless the table is to be written: what
  /// two stop alone, one of them does.
  static let every =
    [all, none] + Layer.allCases.map(only)
    + (slowness == 1 || Report.isToBeWritten ? Layer.allCases.map(without) : [])

  /// Whether the program that `istbpf run` started is itself the container of this mode: what is taken
  /// away can be taken from a running one.
  var isWhatRunMakes: Bool { layers.isSuperset(of: [.seccomp, .capabilities, .sandbox]) }

  var description: String {
    if let engine { return "a container of \(engine)" }
    if self == .all { return "all layers" }
    if layers.isEmpty { return "no layer" }
    let names = { (layers: Set<Layer>) in layers.map(\.rawValue).joined(separator: ", ") }
    return layers.count == 1
      ? "\(names(layers)) alone" : "without \(names(Self.all.layers.subtracting(layers)))"
  }
}
