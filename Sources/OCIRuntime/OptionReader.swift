/// Goes through arguments, and tells options from the rest.
struct OptionReader {
  enum Argument {
    case option(_ name: String, value: String?)
    case positional(String)
  }

  private var rest: ArraySlice<String>
  private var isOnlyPositional = false

  init(_ arguments: [String]) { rest = arguments[...] }

  /// The next argument; the options in `valued` take the one after it where they have no `=`.
  mutating func next(valued: Set<String>) -> Argument? {
    guard let argument = rest.popFirst() else { return nil }
    guard !isOnlyPositional, argument.hasPrefix("-"), argument != "-" else {
      return .positional(argument)
    }
    if argument == "--" {
      isOnlyPositional = true
      return next(valued: valued)
    }
    let text = argument.drop { $0 == "-" }
    if let equals = text.firstIndex(of: "=") {
      return .option(String(text[..<equals]), value: String(text[text.index(after: equals)...]))
    }
    let name = String(text)
    // crun's -bDIR
    if !argument.hasPrefix("--"), let first = name.first, "bf".contains(first), name.count > 1,
      !valued.contains(name)
    {
      return .option(String(first), value: String(name.dropFirst()))
    }
    // crun's --rootless may stand alone, and then has no `=`.
    return .option(name, value: valued.contains(name) ? rest.popFirst() : nil)
  }
}
