import Commands
import DaemonCommand
import Glibc
import OCIRuntime

// One binary under several names, as a package has it: what all of them have in common is there once.
switch CommandLine.arguments.first?.split(separator: "/").last {
case "istbpfd", "istbpf-relay": await IstbpfDaemon.runFromCommandLine()
case "istbpf-oci":
  exit(await Wrapper.run(CommandLine.arguments, calledAs: CommandLine.arguments[0]))
default: await Istbpf.runFromCommandLine()
}
