import Hummingbird

/// A file of the page, in this binary.
struct PageFile: Sendable {
  /// Where it is served: `/map.js`.
  let path: String
  private let type: String
  private let bytes: [UInt8]

  /// All that the page consists of.
  static let all = [
    PageFile(path: "/", type: "text/html", bytes: PackageResources.index_html),
    PageFile(path: "/page.css", type: "text/css", bytes: PackageResources.page_css),
    PageFile(path: "/icon.svg", type: "image/svg+xml", bytes: PackageResources.icon_svg),
    script("/main.js", PackageResources.main_js), script("/feed.js", PackageResources.feed_js),
    script("/model.js", PackageResources.model_js), script("/map.js", PackageResources.map_js),
    script("/flows.js", PackageResources.flows_js),
    script("/explain.js", PackageResources.explain_js),
    script("/health.js", PackageResources.health_js), script("/dom.js", PackageResources.dom_js),
  ]

  private static func script(_ path: String, _ bytes: [UInt8]) -> PageFile {
    PageFile(path: path, type: "text/javascript", bytes: bytes)
  }

  var response: Response {
    Response(
      status: .ok, headers: [.contentType: "\(type); charset=utf-8"],
      body: .init(byteBuffer: ByteBuffer(bytes: bytes)))
  }
}
