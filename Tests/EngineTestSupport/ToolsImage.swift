/// A root with busybox and nothing else, and the end of the directory that it is in.
package enum ToolsImage {
  /// A script for bash that makes the root, and an archive of it.
  package static func script(root: String, archive: String) -> String {
    """
    mkdir -p \(root)/bin \(root)/etc \(root)/tmp && cp /usr/bin/busybox \(root)/bin
    for name in sh cat echo env nc sleep ip arping mkdir timeout true; do ln -s busybox \(root)/bin/$name; done
    echo 'root:x:0:0::/:/bin/sh' > \(root)/etc/passwd
    tar -C \(root) -cf \(archive) .
    """
  }

  /// A script for bash that makes an image `name` of it in `directory`, in the file archive.tar of the form of
  /// `docker save`. Its program waits, as a pod's "pause" does.
  static func dockerArchive(named name: String, in directory: String) -> String {
    """
    \(script(root: "\(directory)/image", archive: "\(directory)/layer.tar"))
    cd \(directory)
    printf '{"architecture":"%s","os":"linux","config":{"Cmd":["/bin/sleep","1000000"],"Env":["PATH=/bin"]},
    "rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
      "$(dpkg --print-architecture)" "$(sha256sum layer.tar | cut -d ' ' -f 1)" >config.json
    printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' '\(name)' >manifest.json
    tar -cf archive.tar config.json manifest.json layer.tar
    """
  }

  /// A script for bash that removes `directory` of an engine, unless something is still mounted in it: what is
  /// mounted may be the host's, and would be removed as well.
  package static func removal(of directory: String) -> String {
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
