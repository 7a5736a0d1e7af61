import Model

/// Why the registry did not do what was asked. Nothing changed then.
public enum RegistryError: Error, Hashable, Sendable {
  /// No such deployment; `known` are those that there are.
  case undeclaredDeployment(DeploymentName, known: [DeploymentName])

  /// No such service in `deployment`; `known` are those that there are.
  case undeclaredService(ServiceName, deployment: DeploymentName, known: [ServiceName])

  /// Two services of `deployment` that programs could not tell apart.
  case nameCollision(NameCollision, deployment: DeploymentName)

  /// The deployment would have `count` services, more than there are numbers.
  case tooManyServices(deployment: DeploymentName, count: Int)

  /// Every instance number of the service is taken.
  case tooManyInstances(deployment: DeploymentName, service: ServiceName)

  /// Every deployment id of this runner is taken.
  case tooManyDeployments(DeploymentName)

  /// Services that would be removed still run.
  case serviceHasInstances([Instance])

  /// The file is a registry with damage.
  case corrupt(file: String, detail: String)

  /// The file is not a registry.
  case foreign(file: String, detail: String)

  /// The file is a registry of a later istbpf, in schema `version`; this one knows `known`.
  case newer(file: String, version: Int, known: Int)

  /// The file could not be written: its disk is full or fails.
  case full(file: String, detail: String)

  /// Another process held the file for longer than one waits.
  case busy(file: String)

  /// The file could not be opened or used for any other reason.
  case unavailable(file: String, detail: String)

  /// None of the registry's servers answered in time; `detail` is the last failure of each.
  case unreachable(endpoints: [String], detail: String)

  /// The registry's server knows this runner, or does not, and refuses what was asked.
  case denied(endpoints: [String], detail: String)

  /// Another runner with the name is there, at `address`.
  case runnerNameTaken(String, address: String)

  /// What was asked is for the runner `named`, and only `here` can be changed from here.
  case otherRunner(named: String, here: String)

  /// A runner that is there cannot be forgotten.
  case runnerIsThere(String, address: String)

  /// The runner is being emptied, and takes no new instance.
  case runnerIsDrained(String)

  /// No such runner, now or before; `known` are those that there are.
  case unknownRunner(String, known: [String])

  /// What was asked is of other runners, and the registry is this one's alone.
  case notShared

  /// Others kept changing the same thing, so that no attempt of this runner's got through.
  case contended(what: String)

  /// A record of the registry that cannot be read: damaged, or of a later istbpf.
  case unreadable(key: String, detail: String)
}

extension RegistryError: CustomStringConvertible {
  /// What to tell people.
  public var description: String {
    switch self {
    case .undeclaredDeployment(let name, let known):
      "deployment \(quoted(name.rawValue)) is not declared"
        + Self.hint(name.rawValue, known.map(\.rawValue), "deployments")
    case .undeclaredService(let name, let deployment, let known):
      "service \(quoted(name.rawValue)) is not declared in deployment \(deployment)"
        + Self.hint(name.rawValue, known.map(\.rawValue), "services")
    case .nameCollision(let collision, let deployment):
      "deployment \(deployment): \(collision)"
    case .tooManyServices(let deployment, let count):
      "deployment \(deployment) would have \(count) services; \(AddressPlan.serviceNumbers.count) "
        + "is the most, since each has a /24 of the private range"
    case .tooManyInstances(let deployment, let service):
      "service \(deployment)/\(service) has \(AddressPlan.instanceNumbers.count) instances, the "
        + "most that its /24 holds; stop one first"
    case .tooManyDeployments(let name):
      "deployment \(name) cannot be declared: this runner has \(Deployment.ids.count), the most that "
        + "there can be; remove one first"
    case .serviceHasInstances(let instances):
      "running instances would lose their service: "
        + Self.list(instances.map { "\($0.id) on \($0.runner)" }) + "; stop them first"
    case .corrupt(let file, let detail):
      "the registry \(file) is damaged: \(detail); nothing in it was changed. Restore it from a "
        + "backup, or move it and its -wal and -shm aside and declare every deployment again"
    case .foreign(let file, let detail):
      "\(file) is no registry of istbpf: \(detail); nothing in it was changed. Check the path"
    case .newer(let file, let version, let known):
      "the registry \(file) has schema \(version), and this istbpf knows up to \(known): a later "
        + "istbpf wrote it; nothing in it was changed. Install that version again"
    case .full(let file, let detail):
      "the registry \(file) could not be written: \(detail); nothing changed. The disk may be full "
        + "(df shows it) or failing (dmesg shows it)"
    case .busy(let file):
      "the registry \(file) is locked: another process has been writing to it for seconds"
    case .unavailable(let file, let detail):
      "the registry \(file) cannot be used: \(detail)"
    case .unreachable(let endpoints, let detail):
      "the registry cannot be reached at \(Self.list(endpoints)): \(detail). What runs goes on; "
        + "nothing can be declared or started until it answers"
    case .denied(let endpoints, let detail):
      "the registry at \(Self.list(endpoints)) refuses this runner: \(detail)"
    case .runnerNameTaken(let name, let address):
      "another runner is named \(quoted(name))\(address.isEmpty ? "" : ", at \(address)"): give this "
        + "one another name. If this is that machine and its state directory was lost, wait until its "
        + "lease ends, and start again"
    case .otherRunner(let named, let here):
      "the instance would be on runner \(quoted(named)), and this is \(quoted(here))"
    case .runnerIsThere(let name, let address):
      "runner \(quoted(name)) is there\(address.isEmpty ? "" : ", at \(address)"), so its instances "
        + "may run; stop istbpfd on it first"
    case .runnerIsDrained(let name):
      "runner \(quoted(name)) is drained and takes no new instance: start it on another runner, or end that "
        + "with istbpf runner undrain \(name)"
    case .unknownRunner(let name, let known):
      "there is no runner \(quoted(name)), and none of that name has numbers of instances"
        + Self.hint(name, known, "runners")
    case .notShared:
      "this runner is alone: no cluster is configured, so there are no other runners"
    case .contended(let what):
      "\(what) was changed by others again and again, so that this change found no moment; try again"
    case .unreadable(let key, let detail):
      "the registry's record \(quoted(key)) cannot be read: \(detail); nothing was changed"
    }
  }

  private static func hint(_ name: String, _ known: [String], _ plural: String) -> String {
    if known.isEmpty { return "; there are no \(plural) yet: `istbpf deploy` declares them" }
    let near = nearest(to: name, among: known).map { "; did you mean \(quoted($0))?" }
    return (near ?? ";") + " There are: \(list(known))"
  }

  private static func list(_ names: [String]) -> String {
    let limit = 10
    let shown = names.prefix(limit).joined(separator: ", ")
    return names.count > limit ? "\(shown) and \(names.count - limit) more" : shown
  }
}
