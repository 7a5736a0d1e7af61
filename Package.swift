// swift-tools-version: 6.2
// The targets and what each may depend on: the architecture in one screen.
//
//   Commands, OCIRuntime ──> ControlAPI ──> (gRPC over a Unix socket) <── Runner (istbpfd)
//      │                                                        │ composes
//      └── inspect, doctor, uninstall ──> Dataplane, Fabric, Tunnel <──┘
//
// Model does no I/O. Dataplane is the only user of libbpf, Fabric the only user of netlink, NameResolution
// the only user of c-ares, and they know nothing of each other, of the registry or of gRPC. Tunnel is the
// only user of BoringSSL; Relay moves bytes between tunnels and sockets that others made, and knows no fabric.
//
// A target of over 1,500 lines of its own says why it is one: "Large: ...".

import PackageDescription

let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]

let package = Package(
  name: "istbpf",
  products: [
    .executable(name: "istbpfd", targets: ["istbpfd"]),
    .executable(name: "istbpf", targets: ["istbpf"]),
    .executable(name: "istbpf-oci", targets: ["istbpf-oci"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-asn1", from: "1.7.4"),
    .package(url: "https://github.com/apple/swift-certificates", from: "1.21.1"),
    .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    // CBoringSSL includes headers of it that are no part of its interface.
    .package(url: "https://github.com/apple/swift-nio-ssl", .upToNextMinor(from: "2.37.6")),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/grpc/grpc-swift-2", from: "2.4.3"),
    .package(url: "https://github.com/grpc/grpc-swift-nio-transport", from: "2.9.2"),
    .package(url: "https://github.com/grpc/grpc-swift-protobuf", from: "2.4.1"),
    .package(
      url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
    .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
  ],
  targets: [
    // C libraries, of the system but for BoringSSL, and the header that BPF C and Swift share.
    .target(
      name: "CBoringSSL", dependencies: [.product(name: "NIOSSL", package: "swift-nio-ssl")]),
    .target(name: "CDataplaneABI"),
    .target(name: "CLinux"),
    .systemLibrary(name: "CCares", pkgConfig: "libcares", providers: [.apt(["libc-ares-dev"])]),
    .systemLibrary(name: "CLibbpf", pkgConfig: "libbpf", providers: [.apt(["libbpf-dev"])]),
    .systemLibrary(name: "CLibidn2", pkgConfig: "libidn2", providers: [.apt(["libidn2-dev"])]),
    .systemLibrary(
      name: "CLibnlRoute", pkgConfig: "libnl-route-3.0", providers: [.apt(["libnl-route-3-dev"])]),
    .systemLibrary(
      name: "CLibseccomp", pkgConfig: "libseccomp", providers: [.apt(["libseccomp-dev"])]),

    // Linux as Swift: no concept of this project in it. Large: a file for each facility, which hardly know each other.
    .target(
      name: "LinuxSystem",
      dependencies: [
        "CLinux", "CLibseccomp", .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: strict),

    // Deployments, services, instances, addresses: pure values. Large: a file for each.
    .target(name: "Model", dependencies: ["CLibidn2"], swiftSettings: strict),

    // The kernel side: programs and maps; namespaces and links. Large: all that knows the layout of the maps is in one place.
    .target(
      name: "Dataplane", dependencies: ["CDataplaneABI", "CLibbpf", "LinuxSystem", "Model"],
      swiftSettings: strict, plugins: ["CompileBPF"]),
    .target(
      name: "Fabric",
      dependencies: [
        "CLibnlRoute", "CLinux", "LinuxSystem", "Model",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: strict),
    .executableTarget(name: "EmbedObject", path: "Plugins/EmbedObject", swiftSettings: strict),
    .plugin(name: "CompileBPF", capability: .buildTool(), dependencies: ["EmbedObject"]),

    // Which addresses the names have that services may connect to.
    .target(
      name: "NameResolution", dependencies: ["CCares", "CLinux", "LinuxSystem", "Model"],
      swiftSettings: strict),

    // What a relay says to the one that takes its place.
    .target(
      name: "HandOver",
      dependencies: [
        "CLinux", "LinuxSystem",
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      exclude: ["handover.proto"],
      swiftSettings: strict),

    // Between runners: the encrypted connections, and the loop that moves bytes through them. Large: a record, a frame and a
    // handshake are parts of one protocol, of which nothing is public.
    .target(
      name: "Tunnel",
      dependencies: [
        "CBoringSSL", "CLinux", "HandOver", "LinuxSystem", "Model",
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      exclude: ["tunnel.proto"],
      swiftSettings: strict),
    // Large: what one loop's thread works on, tunnels, streams, pairs of sockets, which call each other without a lock.
    .target(
      name: "Relay",
      dependencies: [
        "CLinux", "HandOver", "LinuxSystem", "Model", "Tunnel",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: strict),

    // The public entry: HAProxy, its configuration and its process.
    .target(
      name: "FrontDoor",
      dependencies: [
        "CLinux", "LinuxSystem", "Model", .product(name: "Logging", package: "swift-log"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: strict),

    // Where runners keep what exists.
    .target(name: "Registry", dependencies: ["Model"], swiftSettings: strict),
    .target(
      name: "RegistrySQLite",
      dependencies: ["Model", "Registry", .product(name: "GRDB", package: "GRDB.swift")],
      swiftSettings: strict),
    // Large: one in-memory view of the keys, and all that can happen to the connection by which it is kept.
    .target(
      name: "RegistryEtcd",
      dependencies: [
        "Model", "Registry",
        .product(name: "GRPCCore", package: "grpc-swift-2"),
        .product(name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport"),
        .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
      ],
      exclude: ["Protocol"],
      swiftSettings: strict),

    // Who a runner is: the certificates of the installation's own authority.
    .target(
      name: "CertificateAuthority",
      dependencies: [
        "Model",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "SwiftASN1", package: "swift-asn1"),
        .product(name: "X509", package: "swift-certificates"),
      ],
      swiftSettings: strict),

    // Log lines: bounded, with fields for systemd's journal, the last of them in a file.
    .target(
      name: "ServiceLog",
      dependencies: ["LinuxSystem", "Model", .product(name: "Logging", package: "swift-log")],
      swiftSettings: strict),

    // istbpf-relay, which carries what leaves a fabric, and what istbpfd says to it.
    .target(
      name: "RelayControl",
      dependencies: [
        "CLinux", "Fabric", "LinuxSystem", "Model", "NameResolution", "Relay", "Tunnel",
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      exclude: ["relay.proto"],
      swiftSettings: strict),
    // Large: the process as a whole: held SYNs, requests of the front door, connects to outside, each in files of its own.
    .target(
      name: "RelayService",
      dependencies: [
        "CLinux", "Dataplane", "Fabric", "FrontDoor", "HandOver", "LinuxSystem", "Model",
        "NameResolution", "Relay", "RelayControl", "ServiceLog", "Tunnel",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: strict),

    // The daemon, its API, and the commands.
    .target(
      name: "ControlAPI",
      dependencies: [
        "CLinux", "Model",
        .product(name: "GRPCCore", package: "grpc-swift-2"),
        .product(name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport"),
        .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"),
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
      ],
      exclude: ["containers.proto", "control.proto", "peers.proto"],
      swiftSettings: strict),
    // Large: one actor, whose tables of deployments, instances and rules every part of it changes under one order; apart
    // from it only what asks it (ControlService) and what it asks (RelayLink), which are named so.
    .target(
      name: "Runner",
      dependencies: [
        "CLinux", "ControlAPI", "Dataplane", "Fabric", "FrontDoor", "HandOver", "LinuxSystem",
        "Model", "NameResolution",
        "Registry", "RegistryEtcd", "RegistrySQLite", "Relay", "RelayControl", "ServiceLog",
        "Tunnel",
        .product(name: "Configuration", package: "swift-configuration"),
        .product(name: "GRPCCore", package: "grpc-swift-2"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: strict),
    // The configuration files of container engines: text in, text out.
    .target(
      name: "EngineConfiguration",
      dependencies: [.product(name: "TOMLKit", package: "TOMLKit")], swiftSettings: strict),
    // The page of `istbpf ui`: files for a browser, and what serves them.
    .target(
      name: "WebInterface",
      dependencies: [
        "ControlAPI", "Dataplane", .product(name: "GRPCCore", package: "grpc-swift-2"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
      ],
      resources: [.embedInCode("Page")], swiftSettings: strict),
    // Large: a file for each command.
    .target(
      name: "Commands",
      dependencies: [
        "CertificateAuthority", "ControlAPI", "Dataplane", "EngineConfiguration", "Fabric",
        "FrontDoor", "LinuxSystem", "Model", "Relay", "RelayControl", "Tunnel", "WebInterface",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "GRPCCore", package: "grpc-swift-2"),
        .product(name: "Subprocess", package: "swift-subprocess"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: strict),
    .target(
      name: "DaemonCommand",
      dependencies: [
        "LinuxSystem", "Model", "RelayService", "Runner", "ServiceLog",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: strict),
    .executableTarget(name: "istbpfd", dependencies: ["DaemonCommand"], swiftSettings: strict),
    .executableTarget(name: "istbpf", dependencies: ["Commands"], swiftSettings: strict),

    // The OCI runtime that stands before runc or crun. Large: a file for each part of a container's configuration that could lead
    // out of it.
    .target(
      name: "OCIRuntime", dependencies: ["ControlAPI", "Dataplane", "LinuxSystem", "Model"],
      swiftSettings: strict),
    .executableTarget(name: "istbpf-oci", dependencies: ["OCIRuntime"], swiftSettings: strict),

    // What Scripts/bench measures with: plain TCP, no part of the product.
    .executableTarget(
      name: "istbpf-bench",
      dependencies: ["CLinux", .product(name: "ArgumentParser", package: "swift-argument-parser")],
      swiftSettings: strict),

    .target(
      name: "TestSupport",
      dependencies: [
        "Fabric", "LinuxSystem", "Model", .product(name: "SystemPackage", package: "swift-system"),
      ],
      path: "Tests/TestSupport", exclude: ["Programs"], swiftSettings: strict),
    .testTarget(name: "ModelTests", dependencies: ["Model"], swiftSettings: strict),
    .testTarget(
      name: "CertificateAuthorityTests", dependencies: ["CertificateAuthority", "TestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "LinuxSystemTests", dependencies: ["LinuxSystem", "TestSupport"], swiftSettings: strict),
    .testTarget(
      name: "RegistryTests",
      dependencies: [
        "Model", "Registry", "RegistryEtcd", "RegistrySQLite",
        .product(name: "GRDB", package: "GRDB.swift"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: strict),
    .testTarget(
      name: "WebInterfaceTests", dependencies: ["ControlAPI", "WebInterface"],
      swiftSettings: strict),
    .testTarget(
      name: "CommandsTests", dependencies: ["Commands", "ControlAPI"], swiftSettings: strict),
    .testTarget(
      name: "DocumentationTests",
      dependencies: [
        "Commands", "DaemonCommand", "TestSupport",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict),
    .testTarget(
      name: "EngineConfigurationTests", dependencies: ["EngineConfiguration", "TestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "FrontDoorTests", dependencies: ["FrontDoor", "LinuxSystem", "Model", "TestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "NameResolutionTests", dependencies: ["Model", "NameResolution", "TestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "FabricTests", dependencies: ["Fabric", "LinuxSystem", "Model", "TestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "DataplaneTests",
      dependencies: [
        "CDataplaneABI", "CLibbpf", "Dataplane", "LinuxSystem", "Model", "TestSupport",
      ],
      swiftSettings: strict, plugins: ["CompileBPF"]),
    .target(
      name: "TunnelTestSupport",
      dependencies: [
        "CBoringSSL", "CLinux", "LinuxSystem", "Model", "Relay", "Tunnel",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      path: "Tests/TunnelTestSupport", swiftSettings: strict),
    .testTarget(
      name: "TunnelTests",
      dependencies: [
        "CLinux", "LinuxSystem", "Model", "Relay", "TestSupport", "Tunnel", "TunnelTestSupport",
      ],
      exclude: ["Programs"],
      swiftSettings: strict),
    .testTarget(
      name: "RelayTests",
      dependencies: [
        "CLinux", "HandOver", "LinuxSystem", "Model", "Relay", "TestSupport", "Tunnel",
        "TunnelTestSupport",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: strict),
    .executableTarget(
      name: "relay-bench",
      dependencies: ["CLinux", "LinuxSystem", "Relay", "Tunnel", "TunnelTestSupport"],
      path: "Tests/RelayBench", swiftSettings: strict),
    .target(
      name: "FuzzTargets",
      dependencies: [
        "CLinux", "Fabric", "HandOver", "LinuxSystem", "Model", "OCIRuntime", "Relay",
        "RelayControl", "Tunnel", "TunnelTestSupport",
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      path: "Tests/FuzzTargets", swiftSettings: strict),
    .testTarget(name: "FuzzTests", dependencies: ["FuzzTargets"], swiftSettings: strict),
    .executableTarget(
      name: "relay-soak",
      dependencies: [
        "LinuxSystem", "Relay", "Tunnel", "TunnelTestSupport",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Tests/RelaySoak", swiftSettings: strict),
    .target(
      name: "EngineTestSupport", dependencies: ["LinuxSystem", "TestSupport"],
      path: "Tests/EngineTestSupport", exclude: ["Programs"], swiftSettings: strict),
    .testTarget(
      name: "IsolationTests",
      dependencies: ["CLibbpf", "EngineTestSupport", "LinuxSystem", "TestSupport"],
      exclude: ["Programs"],
      swiftSettings: strict),
    .testTarget(name: "PackagingTests", dependencies: ["TestSupport"], swiftSettings: strict),
    .testTarget(
      name: "TransparencyTests", dependencies: ["LinuxSystem", "TestSupport"],
      exclude: ["Programs"], swiftSettings: strict),
    .testTarget(
      name: "OCIRuntimeTests",
      dependencies: ["EngineTestSupport", "LinuxSystem", "Model", "OCIRuntime", "TestSupport"],
      exclude: ["Programs"], swiftSettings: strict),
    .testTarget(
      name: "ScenarioTests",
      dependencies: [
        "CDataplaneABI", "CLinux", "ControlAPI", "Dataplane", "Fabric", "HandOver",
        "LinuxSystem", "Model", "Registry", "Relay", "RelayControl", "RelayService", "Runner",
        "ServiceLog",
        "TestSupport", "Tunnel", "TunnelTestSupport",
        .product(name: "GRPCCore", package: "grpc-swift-2"),
      ],
      swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)

// What Scripts/package builds: the programs as one binary.
if Context.environment["ISTBPF_ONE_BINARY"] != nil {
  package.products.append(.executable(name: "istbpf-all", targets: ["istbpf-all"]))
  package.targets += [
    .target(name: "CNoLanguages"),
    .executableTarget(
      name: "istbpf-all",
      dependencies: ["CNoLanguages", "Commands", "DaemonCommand", "OCIRuntime"],
      swiftSettings: strict,
      // Half a million addresses to be put right at each start: packed they take a tenth of the space. Swift has all
      // public symbols exported, which the linker then cannot leave out: 8 MB.
      linkerSettings: [
        .unsafeFlags([
          "-use-ld=lld", "-Xlinker", "-z", "-Xlinker", "pack-relative-relocs", "-Xlinker",
          "--no-export-dynamic",
        ])
      ]),
  ]
}

// Scripts/fuzz says where libFuzzer's runtime is. What is fuzzed is told its coverage; not everything, as
// `swift build --sanitize fuzzer` would have it, since that gives the plugin's tool libFuzzer's main function.
if let runtime = Context.environment["ISTBPF_FUZZ"] {
  let coverage: SwiftSetting = .unsafeFlags(["-sanitize=fuzzer"])
  for target in package.targets where target.type == .regular {
    target.swiftSettings = (target.swiftSettings ?? []) + [coverage]
  }
  package.products.append(.executable(name: "istbpf-fuzz", targets: ["istbpf-fuzz"]))
  package.targets.append(
    .executableTarget(
      name: "istbpf-fuzz", dependencies: ["FuzzTargets"], path: "Tests/Fuzz",
      linkerSettings: [.unsafeFlags(["-Xlinker", runtime]), .linkedLibrary("stdc++")]))
}
