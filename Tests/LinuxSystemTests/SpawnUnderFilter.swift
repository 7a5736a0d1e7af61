import Glibc
import LinuxSystem

/// System call numbers, which are macros that Swift does not see.
enum SystemCall {
  #if arch(x86_64)
    static let (socket, socketpair) = (41, 53)
  #else
    static let (socket, socketpair) = (198, 199)
  #endif
  static let ioUringSetup = 425
}

/// syscall(2), which is variadic and so hidden from Swift, with four arguments.
func rawSystemCall(_ number: Int, _ a: Int, _ b: Int, _ c: Int, _ d: Int) -> Int {
  typealias Call = @convention(c) (Int, Int, Int, Int, Int) -> Int
  guard let symbol = dlsym(nil, "syscall") else { return -1 }
  return unsafeBitCast(symbol, to: Call.self)(number, a, b, c, d)
}

/// Runs `arguments` under the filter and returns what it printed.
///
/// posix_spawn's child is made by the calling thread, so that it inherits the filter: Foundation's
/// Process promises no such thing.
func spawnUnderFilter(_ arguments: [String]) throws -> String {
  try DedicatedThread.run {
    try SocketFamilyFilter.apply()
    var ends: (Int32, Int32) = (-1, -1)
    guard
      withUnsafeMutablePointer(
        to: &ends, { pipe(UnsafeMutableRawPointer($0).assumingMemoryBound(to: Int32.self)) }) == 0
    else { throw SystemError(.last, "make", "a pipe") }
    let reader = OwnedDescriptor(owning: ends.0)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_adddup2(&actions, ends.1, 1)
    posix_spawn_file_actions_addclose(&actions, ends.0)
    defer { posix_spawn_file_actions_destroy(&actions) }
    var argv = arguments.map { strdup($0) } + [nil]
    defer { for argument in argv { free(argument) } }
    var process = pid_t()
    let code = posix_spawnp(&process, arguments[0], &actions, nil, &argv, environ)
    close(ends.1)
    guard code == 0 else { throw SystemError(.init(rawValue: code), "spawn", arguments[0]) }
    defer { waitpid(process, nil, 0) }
    return try SmallFile.read("/proc/self/fd/\(reader.rawValue)")
  }
}
