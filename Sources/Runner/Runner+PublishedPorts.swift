import Fabric
import LinuxSystem
import Model
import ServiceLog

/// Ports that engines publish, which lead nowhere for an instance.
extension Runner {
  /// A published port that a connect to an address of this machine would find.
  struct Publication {
    let port: PublishedPort
    /// For whom; nil where it is a container of no service.
    let instance: RunningInstance?

    /// The instance's port, where that is known.
    var instancePort: PortNumber? {
      if case .address(_, let port) = port.target { port } else { nil }
    }
  }

  /// What is published at `port` of the machine's address `address`; nil where nothing is, or that cannot be
  /// told.
  func publication(at address: IPv4Address, _ port: PortNumber) -> Publication? {
    do {
      let found = try PublishedPort.all().first {
        $0.listener.port == port.rawValue && $0.listener.isReached(at: address, over: 0)
      }
      return found.map { port in
        Publication(port: port, instance: instances.first { isPublished(port, for: $0) })
      }
    } catch {
      logger.error("cannot tell what is published on port \(port): \(error)")
      return nil
    }
  }

  private func isPublished(_ port: PublishedPort, for instance: RunningInstance) -> Bool {
    guard instance.record != nil else { return false }
    return namespaces(of: instance).contains { namespace in
      switch port.target {
      case .address(let address, _):
        // None where it has ended meanwhile.
        let addresses = try? namespace.perform { try InterfaceAddress.all() }
        return addresses?.contains { $0.address == address.rawValue && $0.interface != "lo" }
          ?? false
      case .namespaces(let identities):
        return identities.contains {
          $0.device == namespace.identity.device && $0.inode == namespace.identity.inode
        }
      }
    }
  }

  /// Logs once, for whoever published a port of a container, that it leads nowhere.
  func warnOfPublishedPorts(of id: String) {
    guard let instance = instances[id], instance.record != nil else { return }
    do {
      let ports = try PublishedPort.all().filter { isPublished($0, for: instance) }
        .map(\.listener.port)
      guard !ports.isEmpty else { return }
      let list = Set(ports).sorted().map(String.init).joined(separator: ", ")
      logger.warning(
        """
        \(id): port \(list) of this machine is published for it and leads nowhere: nothing comes in \
        by another interface than ist0. Services of its deployment connect to it by name, others use \
        its public URL, and this machine `istbpf connect`
        """, metadata: instance.instance.logFields)
    } catch {
      logger.error(
        "\(id): cannot tell whether a port is published for it: \(error)",
        metadata: instance.instance.logFields)
    }
  }

  /// What to do instead of a connect to a published port, for a person.
  func why(_ found: Publication, from caller: Service) -> String {
    let place = "where \(found.port.program) listens on port \(found.port.listener.port) for "
    guard let instance = found.instance?.instance else {
      return "\(place)a container of no service"
    }
    let service = "\(instance.deployment)/\(instance.service)"
    let nowhere =
      "\(place)\(instance.id). A published port leads nowhere: what comes by it is dropped at the instance, "
      + "and no egress rule changes that"
    let port = found.instancePort.map { ":\($0)" } ?? ""
    guard instance.deployment == caller.deployment else {
      return
        "\(nowhere). From another deployment the public URL of \(service) is the way, if it has one"
    }
    return
      "\(nowhere). Connect to \(instance.service)\(port); from outside the deployment its public URL is the "
      + "way, if it has one, and on this machine `istbpf connect \(service)\(port)`"
  }
}
