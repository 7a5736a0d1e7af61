import DaemonCommand

await IstbpfDaemon.runFromCommandLine()
