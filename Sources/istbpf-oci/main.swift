import Glibc
import OCIRuntime

exit(await Wrapper.run(CommandLine.arguments))
