# Starting the machine and hearing how it ended.

# What every start has in common. Its own arguments are appended.
qemu() {
  local cpu=max
  # Emulated, five levels of page tables only cost time.
  [[ $accelerator == tcg ]] && cpu+=,la57=off || cpu=host
  [[ $accelerator != tcg ]] || set -- -accel tcg,thread=multi "$@"
  [[ $accelerator != kvm ]] || set -- -accel kvm "$@"
  exec setpriv --pdeathsig TERM -- timeout --foreground --kill-after 5 "${limit:-0}" \
    qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none \
    -machine q35 -cpu "$cpu" -smp 2 -m "$memory" -device virtio-rng-pci \
    -kernel "$vmlinuz" -initrd "$scratch/initramfs" "$@"
}

# KVM where the kernel gets as far as its init with it, which is not so on every host that has
# /dev/kvm. What was found is kept for as long as the host's kernel stays the same.
choose_accelerator() {
  accelerator=tcg
  [[ -w /dev/kvm ]] || return 0
  local found answer
  found=$cache/kvm-$(uname -r)-$release
  if [[ ! -e $found ]]; then
    say "trying KVM"
    (
      ulimit -c 0
      accelerator=kvm limit=15
      qemu -serial "file:$scratch/probe" -append "console=ttyS0 panic=-1 vm-test.probe"
    ) </dev/null >/dev/null 2>&1 &
    vm=$!
    wait "$vm" 2>/dev/null || true
    vm=
    answer=no
    ! grep -q vm-test-init "$scratch/probe" || answer=yes
    mkdir -p "$cache"
    echo "$answer" >"$found"
  fi
  [[ $(<"$found") == no ]] || accelerator=kvm
}

# The files by which Scripts/vm/guest knows what to do, and by which it answers.
make_share() {
  local share=$scratch/share path swift
  mkdir "$share"
  cp "$directory/Scripts/vm/guest" "$share/guest"
  echo "$directory" >"$share/directory"
  echo "$writable" >"$share/writable"
  echo "$module_root" >"$share/modules"
  echo "$command" >"$share/command"
  printf '%s\n' "${without[@]}" >"$share/without"
  : >"$share/status"
  {
    # Debian's programs and Swift's. Not the caller's PATH: a version manager's shims, scripts before
    # every python3, take seconds under emulation.
    path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    swift=$(command -v swift) && path+=:$(dirname "$(realpath "$swift")")
    printf 'export PATH=%q TERM=%q\n' "$path" "${TERM:-dumb}"
    [[ -t 1 ]] || echo 'export NO_COLOR=1'
    # For tests that measure.
    [[ $accelerator != tcg ]] || echo 'export ISTBPF_TEST_SLOWNESS=15'
    ((${#variables[@]} == 0)) || printf 'export %q\n' "${variables[@]}"
    [[ $mode != shell ]] || stty size | sed 's/\(.*\) \(.*\)/stty rows \1 cols \2/'
  } >"$share/environment"
}

# Runs the machine to its end and sets `ended` to how qemu ended.
start_machine() {
  make_share
  local limit=$timeout arguments=(
    -append "console=ttyS0 quiet loglevel=4 panic=-1 oops=panic mitigations=off tsc=reliable"
    # Mounts below / are part of it: what this process sees, the machine sees.
    -virtfs "local,path=/,mount_tag=root,security_model=none,multidevs=remap,readonly=on"
    -virtfs "local,path=$scratch/share,mount_tag=share,security_model=none"
  )
  [[ -z $module_root ]] || arguments+=(
    -virtfs "local,path=$module_root/lib/modules,mount_tag=modules,security_model=none,readonly=on"
  )
  [[ -z $writable ]] || arguments+=(
    -virtfs "local,path=$writable,mount_tag=writable,security_model=none"
  )
  if [[ $mode == shell ]]; then
    exec 3<&0
    (qemu -serial mon:stdio "${arguments[@]}") <&3 &
    vm=$!
  else
    mkfifo "$scratch/console"
    sed -u 's/\r//g; s/^/vm | /' <"$scratch/console" &
    printer=$!
    (qemu -serial stdio "${arguments[@]}") </dev/null >"$scratch/console" &
    vm=$!
  fi
  ended=0
  wait "$vm" || ended=$?
  vm=
  [[ -z $printer ]] || wait "$printer" || true
  printer=
}
