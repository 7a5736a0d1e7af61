/// The version of daemon and commands, which are released together.
public let istbpfVersion = "0.1.0"
