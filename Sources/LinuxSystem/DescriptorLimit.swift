import Glibc

/// How many descriptors this process may have (RLIMIT_NOFILE).
public enum DescriptorLimit {
  /// Raises the limit to `wanted`, as far as this process may; what it is now.
  ///
  /// The hard limit takes CAP_SYS_RESOURCE, the soft one below it nothing. It never goes down.
  public static func raise(to wanted: Int) -> Int {
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    var limit = rlimit()
    guard getrlimit(resource, &limit) == 0 else { return 1024 }
    let target = rlim_t(wanted)
    if limit.rlim_cur < target {
      var raised = rlimit(rlim_cur: target, rlim_max: max(target, limit.rlim_max))
      if setrlimit(resource, &raised) != 0 {
        raised = rlimit(rlim_cur: min(target, limit.rlim_max), rlim_max: limit.rlim_max)
        _ = setrlimit(resource, &raised)
      }
      _ = getrlimit(resource, &limit)
    }
    return Int(clamping: limit.rlim_cur)
  }
}
