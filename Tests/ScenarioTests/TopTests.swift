import TestSupport
import Testing

@Suite("istbpf top on a terminal", .timeLimit(.minutes(5)))
struct TopTests {
  /// Runs its arguments on a terminal of its own, presses b and then q, and says what was left.
  private static let terminal = """
    import os, pty, select, subprocess, sys, termios, time
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    program = subprocess.Popen(sys.argv[1:], stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    shown = b""
    def until(word):
        global shown
        end = time.monotonic() + 60
        while word not in shown and time.monotonic() < end:
            if select.select([master], [], [], 0.1)[0]:
                shown += os.read(master, 65536)
        assert word in shown, shown
    until(b"by connections")
    assert not termios.tcgetattr(slave)[3] & termios.ECHO
    os.write(master, b"b")
    until(b"by bytes")
    until(b"shop/app")
    os.write(master, b"q")
    assert program.wait(timeout=60) == 0
    until(b"\\x1b[?1049l")
    assert termios.tcgetattr(slave) == before
    print("as before")
    """

  @Test("It is drawn anew, sorts by keys, and leaves the terminal as it was")
  func keys() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      let result = try run(["python3", "-c", Self.terminal, "env"] + runner.commandLine(["top"]))
      #expect(result.output == "as before\n", "\(result)")
    }
  }
}
