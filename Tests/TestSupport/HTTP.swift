/// Requests over HTTP, from whichever namespace.
public enum HTTP {
  private static let program = """
    import sys, urllib.error, urllib.request
    try:
        answer = urllib.request.urlopen(sys.argv[1], timeout=10)
    except urllib.error.HTTPError as error:
        answer = error
    print(answer.status)
    print(answer.read().decode(), end="")
    """

  /// The status, and on the next lines the body, of what is at `url`; `enter` stands before the command.
  public static func get(_ url: String, enter: [String] = []) throws -> String {
    let result = try run(enter + ["/usr/bin/python3", "-c", program, url])
    guard result.status == 0 else { throw Conversation.Silence(description: result.errors) }
    return result.output
  }
}
