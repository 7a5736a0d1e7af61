import LinuxSystem
import Testing

@Suite("Errors and releases")
struct SystemErrorTests {
  @Test("An error says what could not be done to what, why, and what may help")
  func description() {
    let error = SystemError(.notPermitted, "mount bpffs on", "/sys/fs/bpf", hint: "are you root?")
    #expect(
      error.description
        == "cannot mount bpffs on /sys/fs/bpf: Operation not permitted (are you root?)")
  }

  @Test("Kernel releases compare by number and ignore what the distribution adds")
  func releases() throws {
    #expect(KernelRelease("6.1.0-18-amd64") == KernelRelease(6, 1))
    #expect(KernelRelease("6.18.44-cloud-1") == KernelRelease(6, 18, 44))
    #expect(KernelRelease("5.15") == KernelRelease(5, 15))
    #expect(KernelRelease(6, 1, 12) < KernelRelease(6, 18))
    #expect(KernelRelease(5, 19) < KernelRelease(6, 1))
    for text in ["", "6", "linux-6.1", ".1.2"] { #expect(KernelRelease(text) == nil) }
    #expect(try KernelRelease.running() > KernelRelease(3, 0))
  }

  @Test("A file that cannot be read is named in the error")
  func smallFile() {
    let error = #expect(throws: SystemError.self) { try SmallFile.read("/no/such/file") }
    #expect(error?.description == "cannot open /no/such/file: No such file or directory")
  }
}
