/// Which instances the connections to a service address go to.
public enum InstanceSelection: String, CaseIterable, Sendable {
  /// Those of the caller's runner while one of them listens, else those of other runners.
  case localFirst = "local-first"
  /// All, on whichever runner, each as likely as the next.
  case spread
}
