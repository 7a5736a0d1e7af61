/// The configuration is another than the one that this process was started with, so that another must be started.
struct OtherSettings: Error, CustomStringConvertible {
  let description = "istbpf-relay was started with other settings"
}
