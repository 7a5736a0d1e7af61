/// What a configuration says and cannot be, in the words of istbpfd's own errors.
package struct ConfigurationProblem: Error, CustomStringConvertible {
  /// The key.
  package let key: String
  /// What is wrong with its value.
  package let problem: String

  package init(key: String, problem: String) { (self.key, self.problem) = (key, problem) }

  package var description: String { "configuration: \(key) \(problem)" }
}
