import Commands
import DaemonCommand
import Glibc
import OCIRuntime

// One binary under three names, as a package has it: what all three have in common is there once.
switch CommandLine.arguments.first?.split(separator: "/").last {
case "istbpfd": await IstbpfDaemon.runFromCommandLine()
case "istbpf-oci":
  exit(await Wrapper.run(CommandLine.arguments, calledAs: CommandLine.arguments[0]))
default: await Istbpf.runFromCommandLine()
}
