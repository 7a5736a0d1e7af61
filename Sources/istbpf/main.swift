import Commands

await Istbpf.runFromCommandLine()
