import LinuxSystem
import Logging
import ServiceLifecycle

/// Tells systemd that this process is alive, as long as the runner answers. One that does not for `WatchdogSec` is
/// ended and started again; the kernel carries on what runs meanwhile.
struct WatchdogService: ServiceLifecycle.Service {
  let manager: ServiceManager
  let runner: Runner
  let logger: Logger

  func run() async throws {
    await cancelWhenGracefulShutdown {
      // A service that returned would end the daemon.
      let interval = manager.watchdog.map { $0 / 3 } ?? .seconds(86_400)
      while (try? await Task.sleep(for: interval)) != nil {
        guard manager.watchdog != nil else { continue }
        await runner.answer()
        do { try manager.tell(.alive) } catch { logger.warning("\(error)") }
      }
    }
  }
}

extension Runner {
  /// Returns when this actor had time for it.
  func answer() {}
}
