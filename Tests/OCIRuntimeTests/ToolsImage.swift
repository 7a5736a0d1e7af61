/// A root with busybox and nothing else, and the end of the directory that it is in.
enum ToolsImage {
  /// A script for bash that makes the root, and an archive of it.
  static func script(root: String, archive: String) -> String {
    """
    mkdir -p \(root)/bin \(root)/etc \(root)/tmp && cp /usr/bin/busybox \(root)/bin
    for name in sh cat echo env nc sleep ip arping mkdir; do ln -s busybox \(root)/bin/$name; done
    echo 'root:x:0:0::/:/bin/sh' > \(root)/etc/passwd
    tar -C \(root) -cf \(archive) .
    """
  }

  /// A script for bash that removes `directory` of an engine, unless something is still mounted in it: what is
  /// mounted may be the host's, and would be removed as well.
  static func removal(of directory: String) -> String {
    """
    grep -o ' \(directory)/[^ ]*' /proc/self/mountinfo | sort -r | xargs -r umount || true
    if grep -q ' \(directory)[/ ]' /proc/self/mountinfo; then
      echo 'mounts are left in \(directory)' >&2
      exit 1
    fi
    rm -rf \(directory)
    """
  }
}
