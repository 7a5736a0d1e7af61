# Which kernel the machine starts, and the initramfs that gets it to this machine's root.

# Sets `vmlinuz`, `release` and `module_root` (whose lib/modules/RELEASE there is, or empty) from
# `kernel` and `modules`.
find_kernel() {
  [[ -n $kernel ]] || default_kernel
  [[ -r $kernel ]] || fail "no kernel $kernel"
  case $kernel in
    *.deb) unpack_package ;;
    *)
      vmlinuz=$kernel
      release=$(release_of "$vmlinuz")
      module_root=
      local near
      near=$(realpath "$(dirname "$kernel")")
      for candidate in ${modules:+"$modules"} "$near" "$near/.." "$near/../usr" /; do
        [[ ! -d $candidate/lib/modules/$release ]] || { module_root=$candidate; break; }
      done
      [[ -z $modules || $module_root == "$modules" ]] ||
        fail "there is no lib/modules/$release below $modules"
      [[ -n $module_root ]] || say "no modules of $release: everything has to be built in" ;;
  esac
}

# The newest of Debian's 6.1 that apt has; the one that was fetched before where there is one.
default_kernel() {
  mkdir -p "$cache"
  kernel=$(find "$cache" -name 'linux-image-6.1.*.deb' 2>/dev/null | sort -V | tail -n 1)
  [[ -z $kernel ]] || return 0
  local package
  package=$(apt-cache --names-only search '^linux-image-6\.1\.0-[0-9]+-amd64$' | cut -d ' ' -f 1 |
    sort -V | tail -n 1)
  [[ -n $package ]] || fail "apt knows no linux-image-6.1: give one with --kernel"
  say "fetching $package"
  mkdir -p "$scratch/fetch"
  (cd "$scratch/fetch" && apt-get -qq -o APT::Sandbox::User=root download "$package") ||
    fail "$package could not be fetched: try apt-get update"
  mv "$scratch"/fetch/*.deb "$cache"
  kernel=$(find "$cache" -name 'linux-image-6.1.*.deb')
}

# Unpacks a kernel package, once: 400 MB.
unpack_package() {
  local unpacked
  unpacked=$cache/$(basename "$kernel" .deb)
  if [[ ! -d $unpacked ]]; then
    say "unpacking $(basename "$kernel")"
    mkdir -p "$cache"
    dpkg-deb -x "$kernel" "$scratch/unpacked" || fail "$kernel is no Debian package"
    release=$(basename "$scratch"/unpacked/boot/vmlinuz-*)
    release=${release#vmlinuz-}
    # Since Debian 13 the modules are below /usr.
    [[ -d $scratch/unpacked/lib/modules ]] || ln -s usr/lib "$scratch/unpacked/lib"
    [[ -d $scratch/unpacked/lib/modules/$release ]] || fail "$kernel has no kernel and modules"
    /sbin/depmod -b "$scratch/unpacked" "$release"
    mv -T "$scratch/unpacked" "$unpacked"
  fi
  vmlinuz=$(echo "$unpacked"/boot/vmlinuz-*)
  release=${vmlinuz##*/vmlinuz-}
  module_root=$unpacked
}

# The release that a bzImage tells at the offset that its header (Documentation/arch/x86/boot.rst)
# has at 0x20e.
release_of() {
  [[ $(dd if="$1" bs=1 skip=514 count=4 status=none) == HdrS ]] || fail "$1 is no x86 vmlinuz"
  local offset
  offset=$(od -An -tu2 -j 526 -N 2 "$1")
  dd if="$1" bs=1 skip=$((offset + 512)) count=64 status=none | tr '\0' ' ' | cut -d ' ' -f 1
}

# Makes $scratch/initramfs: busybox, Scripts/vm/init, and the modules that lead to the root.
make_initramfs() {
  local tree=$scratch/initramfs.d
  mkdir -p "$tree"/{bin,modules,proc,sys,dev,lower,upper,root}
  cp "$(command -v busybox)" "$tree/bin/busybox"
  cp "$directory/Scripts/vm/init" "$tree/init"
  local number=100 module kind path
  if [[ -n $module_root ]]; then
    for module in virtio_pci 9pnet_virtio 9p overlay; do
      while read -r kind path _; do
        [[ $kind == insmod && ! -e $tree/inserted-${path##*/} ]] || continue
        touch "$tree/inserted-${path##*/}"
        # Their names give the order.
        number=$((number + 1))
        case $path in
          *.xz) xz -dc "$path" ;;
          *.zst) zstd -qdc "$path" ;;
          *) cat "$path" ;;
        esac >"$tree/modules/$number-${path##*/}"
      done < <(/sbin/modprobe -d "$module_root" -S "$release" --show-depends "$module")
    done
  fi
  rm -f "$tree"/inserted-*
  (cd "$tree" && find . | cpio --quiet -o -H newc) >"$scratch/initramfs"
}
