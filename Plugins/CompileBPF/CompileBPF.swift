import Foundation
import PackagePlugin

/// Compiles every `bpf/*.bpf.c` with the Swift toolchain's own clang and embeds the object in the
/// target, so that `swift build` on a fresh clone is all there is to do; those of `bpf/tests` in a
/// target of tests.
@main
struct CompileBPF: BuildToolPlugin {
  func createBuildCommands(context: PluginContext, target: Target) throws -> [Command] {
    let bpf = context.package.directoryURL.appending(path: "bpf")
    let abi = context.package.directoryURL.appending(path: "Sources/CDataplaneABI/include")
    let clang = try context.tool(named: "clang")
    let embed = try context.tool(named: "EmbedObject")

    let headers =
      try files(in: bpf, endingIn: ".h") + files(in: abi, endingIn: ".h")
    let isTest = (target as? SourceModuleTarget)?.kind == .test
    let sources = isTest ? bpf.appending(path: "tests") : bpf
    return try files(in: sources, endingIn: ".bpf.c").map { source in
      let stem = source.lastPathComponent.dropLast(".bpf.c".count)
      let swift = context.pluginWorkDirectoryURL.appending(path: "\(stem)Object.swift")
      let object = context.pluginWorkDirectoryURL.appending(path: "\(stem).bpf.o")
      return .buildCommand(
        displayName: "Compiling and embedding \(source.lastPathComponent)",
        executable: embed.url,
        arguments: [
          swift.path, "\(stem)ObjectBase64", clang.url.path,
          // -g makes the BTF without which spin locks do not load and maps have no types to show.
          "-target", "bpf", "-g", "-O2", "-mcpu=v3", "-std=gnu11",
          "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror",
          "-I", abi.path, "-I", bpf.path,
          // Debian keeps asm/types.h below the multiarch triplet.
          "-idirafter", "/usr/include/\(multiarchTriplet)",
          "-c", source.path, "-o", object.path,
        ],
        inputFiles: [source] + headers,
        outputFiles: [swift])
    }
  }

  private func files(in directory: URL, endingIn ending: String) throws -> [URL] {
    try FileManager.default.contentsOfDirectory(atPath: directory.path)
      .filter { $0.hasSuffix(ending) }.sorted().map { directory.appending(path: $0) }
  }

  private var multiarchTriplet: String {
    #if arch(arm64)
      "aarch64-linux-gnu"
    #else
      "x86_64-linux-gnu"
    #endif
  }
}
