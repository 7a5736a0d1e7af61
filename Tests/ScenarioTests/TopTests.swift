import TestSupport
import Testing

@Suite("istbpf top on a terminal", .timeLimit(.minutes(5)))
struct TopTests {
  /// Runs its arguments on a terminal of its own, twice: presses b and then q, and ends it by a signal. Says what was left.
  private static let terminal = """
    import os, pty, select, subprocess, sys, termios, time
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    def start():
        global shown
        shown = b""
        return subprocess.Popen(sys.argv[1:], stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    def until(word):
        global shown
        end = time.monotonic() + 60
        while word not in shown and time.monotonic() < end:
            if select.select([master], [], [], 0.1)[0]:
                shown += os.read(master, 65536)
        assert word in shown, shown
    program = start()
    until(b"by connections")
    assert not termios.tcgetattr(slave)[3] & termios.ECHO
    os.write(master, b"b")
    until(b"by bytes")
    until(b"shop/app")
    os.write(master, b"q")
    assert program.wait(timeout=60) == 0
    until(b"\\x1b[?1049l")
    assert termios.tcgetattr(slave) == before
    program = start()
    until(b"by connections")
    # `env` has become the program.
    program.terminate()
    program.wait(timeout=60)
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
