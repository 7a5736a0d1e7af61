import Testing

@testable import OCIRuntime

@Suite("The arguments that engines give to a runtime")
struct RuntimeArgumentsTests {
  private func parsed(_ line: String) throws -> RuntimeArguments {
    try RuntimeArguments(line.split(separator: " ").map(String.init))
  }

  @Test(
    "The bundle is found in every form",
    arguments: [
      "create --bundle /b ID", "create -b /b ID", "create --bundle=/b ID", "create -b=/b ID",
      "create -bundle /b ID", "create -bundle=/b ID", "create ID --bundle /b", "create -b/b ID",
      "create --no-pivot --pid-file /p --bundle /b --console-socket /s -- ID",
      "--root create --log run create --bundle /b ID",
      "--log=/l --log-format=json --systemd-cgroup create --bundle /b ID",
      "--cgroup-manager systemd --root /r --debug create -b /b --pidfd-socket /x ID",
      "run --detach --bundle /b --keep ID", "run -d -b /b ID",
    ])
  func bundle(_ line: String) throws {
    let arguments = try parsed(line)
    #expect(arguments.bundle == "/b")
    #expect(arguments.configurationPath == "/b/config.json")
    #expect(arguments.container == "ID")
    #expect(arguments.command != nil)
  }

  @Test("A bundle, an id and a root that are named like commands are none")
  func names() throws {
    let arguments = try parsed("--root create create --bundle create run")
    #expect(arguments.bundle == "create")
    #expect(arguments.container == "run")
    #expect(arguments.command == .create)
    #expect(try parsed("--log create state create").command == nil)
  }

  @Test("containerd, podman and crun are understood")
  func engines() throws {
    let containerd = try parsed(
      "--root /run/containerd/runc/moby --log /t/log.json --log-format json --systemd-cgroup create "
        + "--bundle /t --pid-file /t/init.pid --console-socket /tmp/pty/pty.sock 0123abcd")
    #expect(containerd.bundle == "/t")
    #expect(containerd.container == "0123abcd")
    #expect(try parsed("create ID").bundle == ".")
    #expect(try parsed("run --config /c.json ID").configurationPath == "/c.json")
    #expect(try parsed("run --preserve-fds 3 ID").preservedDescriptors == "3")
    #expect(try parsed("restore --image-path /i --bundle /b ID").command == .restore)
  }

  @Test(
    "Another command is none of ours, whatever follows",
    arguments: [
      "--version", "", "exec --process /p create", "delete --force create", "start ID",
      "--log /l kill create 9", "features", "exec -e A=create ID run --bundle /b",
    ])
  func others(_ line: String) throws {
    #expect(try parsed(line).command == nil)
  }

  @Test(
    "Where it cannot be told which bundle is meant, the container is refused",
    arguments: ["create --new /x ID --bundle /b", "create --bun=/b ID", "create ID /b"])
  func unclear(_ line: String) {
    #expect(throws: ContainerRefusal.self) { try parsed(line) }
  }

  @Test("Errors go where the engine looks for them")
  func log() throws {
    let json = RuntimeLog(["--log", "/l", "--log-format", "json", "create"])
    #expect(
      json.entry("a \"b\"", at: "T") == #"{"level":"error","msg":"a \"b\"","time":"T"}"# + "\n")
    #expect(RuntimeLog(["--log=/l"]).entry("a", at: "T") == "time=\"T\" level=error msg=\"a\"\n")
    #expect(json.variables == ["ISTBPF_OCI_LOG=/l"])
    for none in [["--log", "/l"], ["--log=l", "--log-format=json"], []] {
      #expect(RuntimeLog(none).variables.isEmpty)
    }
  }
}
