import Glibc
import LinuxSystem
import TestSupport
import Testing

@Suite("Cgroups")
struct CgroupTests {
  @Test("The cgroup2 mount of a hybrid hierarchy is found")
  func hybrid() throws {
    let table = MountTable(
      parsing: """
        32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:7 - cgroup2 cgroup2 rw
        """)
    #expect(try CgroupHierarchy(in: table).mountPoint == "/sys/fs/cgroup/unified")
  }

  @Test("The whole mount is preferred to a bind mount of one cgroup")
  func wholeMount() throws {
    let table = MountTable(
      parsing: """
        40 31 0:38 /one /mnt/with\\040space rw - cgroup2 cgroup2 rw
        41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
        """)
    #expect(table.entries.first?.mountPoint == "/mnt/with space")
    #expect(try CgroupHierarchy(in: table).mountPoint == "/sys/fs/cgroup")
  }

  @Test("Without a cgroup2 mount the error says how to mount one")
  func noHierarchy() throws {
    let table = MountTable(parsing: "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu")
    let error = #expect(throws: SystemError.self) { try CgroupHierarchy(in: table) }
    #expect(error?.errno == .noSuchFileOrDirectory)
    #expect(error?.description.contains("mount -t cgroup2") == true)
  }

  @Test(
    "A cgroup lists the process that it was given, is populated, and is empty when that is killed")
  func lifetime() throws {
    try NamespaceLaboratory.with { laboratory in
      let cgroup = try laboratory.cgroup()
      #expect(try !cgroup.isPopulated())
      let command = try RunningCommand(["sleep", "60"])
      try cgroup.add(command.processID)
      #expect(try cgroup.processes() == [command.processID])
      #expect(try cgroup.isPopulated())
      #expect(try CgroupHierarchy.find().cgroup(of: command.processID) == cgroup)
      let error = #expect(throws: SystemError.self) { try cgroup.remove(patience: .zero) }
      #expect(error?.errno == .resourceBusy)
      try cgroup.kill()
      try cgroup.remove(patience: .seconds(2))
      #expect(!cgroup.exists)
    }
  }

  @Test("A cgroup's id is the one that the kernel's file handle holds")
  func identifier() throws {
    try NamespaceLaboratory.with { laboratory in
      let cgroup = try laboratory.cgroup()
      let script = """
        import ctypes, sys
        handle = ctypes.create_string_buffer(8 + 128)
        ctypes.cast(handle, ctypes.POINTER(ctypes.c_uint))[0] = 128
        mount = ctypes.c_int()
        libc = ctypes.CDLL(None)
        assert libc.name_to_handle_at(-100, sys.argv[1].encode(), handle, ctypes.byref(mount), 0) == 0
        print(int.from_bytes(handle.raw[8:16], 'little'))
        """
      let result = try run("python3", "-c", script, cgroup.path)
      #expect(result.output == "\(try cgroup.id())\n", "\(result.errors)")
    }
  }

  @Test("Removing recursively takes the cgroups that a container made along")
  func removeRecursively() throws {
    try NamespaceLaboratory.with { laboratory in
      let cgroup = try laboratory.cgroup()
      try cgroup.child("a").child("b").create()
      try cgroup.child("c").create()
      try cgroup.removeRecursively()
      #expect(!cgroup.exists)
      try cgroup.removeRecursively()
    }
  }

  @Test("Adding a process that does not exist says so")
  func unknownProcess() throws {
    try NamespaceLaboratory.with { laboratory in
      let cgroup = try laboratory.cgroup()
      let error = #expect(throws: SystemError.self) { try cgroup.add(pid_t.max) }
      #expect(error?.errno == .noSuchProcess)
    }
  }

  @Test("One that is gone has no processes, and one that cannot be asked is not taken for empty")
  func unknown() throws {
    try NamespaceLaboratory.with { laboratory in
      let cgroup = try laboratory.cgroup()
      #expect(try !cgroup.hasProcesses())
      let command = try RunningCommand(["sleep", "60"])
      try cgroup.add(command.processID)
      #expect(try cgroup.hasProcesses())
      command.stop()
      #expect(try !laboratory.cgroup().child("gone").hasProcesses())
    }
    let directory = "/tmp/istbpf-no-cgroup-\(getpid())"
    #expect(mkdir(directory, 0o700) == 0 && mkdir("\(directory)/cgroup.events", 0o700) == 0)
    defer {
      rmdir("\(directory)/cgroup.events")
      rmdir(directory)
    }
    let error = #expect(throws: SystemError.self) { try Cgroup(path: directory).hasProcesses() }
    #expect(error?.errno == .isDirectory)
  }
}
