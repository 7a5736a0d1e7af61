import Dispatch
import Foundation
import Glibc

/// The terminal as a screen that is drawn anew, and the keys that are pressed there.
final class Screen: Sendable {
  /// Keys as they are pressed; ends when the screen is left, or this process is told to end.
  let keys: AsyncStream<UInt8>
  private let continuation: AsyncStream<UInt8>.Continuation
  private let before: termios
  /// Unsafe only in name: nothing but their lifetime is used.
  private nonisolated(unsafe) let signals: [any DispatchSourceSignal]

  /// Takes the terminal over until `leave`; nil where standard input or output is none.
  init?() {
    var settings = termios()
    guard isatty(STDIN_FILENO) == 1, isatty(STDOUT_FILENO) == 1,
      tcgetattr(STDIN_FILENO, &settings) == 0
    else { return nil }
    before = settings
    (keys, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(16))
    signals = [SIGTERM, SIGHUP, SIGINT].map { [continuation] number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number)
      source.setEventHandler { continuation.finish() }
      source.activate()
      return source
    }
    // Key by key and unseen; Ctrl-C is a key, so that the terminal is as before when this ends.
    settings.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG)
    tcsetattr(STDIN_FILENO, TCSANOW, &settings)
    // The alternate screen, without a cursor.
    Self.write("\u{1B}[?1049h\u{1B}[?25l")
    let thread = Thread { [continuation] in
      var key: UInt8 = 0
      while read(STDIN_FILENO, &key, 1) == 1 { continuation.yield(key) }
      continuation.finish()
    }
    thread.start()
  }

  /// Shows `text` from the upper left corner.
  func show(_ text: String) {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    Self.write("\u{1B}[H" + lines.map { "\($0)\u{1B}[K" }.joined(separator: "\n") + "\u{1B}[J")
  }

  /// Gives the terminal back as it was.
  func leave() {
    continuation.finish()
    Self.write("\u{1B}[?25h\u{1B}[?1049l")
    var settings = before
    tcsetattr(STDIN_FILENO, TCSANOW, &settings)
  }

  private static func write(_ text: String) {
    try? FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
  }
}
