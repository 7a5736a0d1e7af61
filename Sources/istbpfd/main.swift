import DaemonCommand

await IstbpfDaemon.main()
