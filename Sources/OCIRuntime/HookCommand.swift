/// How the hooks in config.json call this program.
enum HookCommand {
  /// The first argument, which no OCI runtime has for a command.
  static let name = "istbpf-hook"
  /// The second argument of `createRuntime`; then deployment, service, hosts file, config.json
  /// and engine.
  static let attach = "attach"
  /// The second argument of `poststop`; then the hosts file.
  static let detach = "detach"

  /// After how many seconds the runtime ends a hook, and the container with it.
  static let timeLimit = 30
  /// After how many seconds a hook, or the wrapper, no longer waits for the daemon: less, so that it
  /// is still there to say so.
  static let patience = 20

  /// Whether a hook of config.json is one that an earlier edit added.
  static func isOurs(_ hook: JSONValue) -> Bool {
    (hook["args"]?.elements ?? []).dropFirst().first?.string == name
  }
}
