#!/bin/bash
# The warden's tests on a host that has cgroup v2 alone: boots a small guest (Debian's
# kernel, this host's files shared read-only) and runs them in there, once at the top of
# the hierarchy and once inside a group that has been handed to us.
#
#   cgroup2.sh BUILD-FOLDER        exit 77: cannot be done here, and why
#
# The kernel and busybox come from Debian packages that are unpacked into the build folder,
# not installed.
set -eu
build=$(cd "${1:?build folder}" && pwd)
vm=$build/vm
tests="test_warden test_warden_ends test_sandbox test_sandbox_calls test_sandbox_limits"
limit_s=400

skip() { echo "1..0 # SKIP $*"; exit 77; }

[ "$(id -u)" = 0 ] || skip "the guest must read files as root"
[ "$(uname -m)" = x86_64 ] || skip "the guest is an amd64"
command -v qemu-system-x86_64 >/dev/null || skip "qemu-system-x86_64 is missing: apt-get install qemu-system-x86"
for t in $tests test_runtime_frozen test_runtime_recycled_life; do
    [ -x "$build/tests/$t" ] || skip "$build/tests/$t is not built"
done

# --- the guest's kernel and first programs --------------------------------------------

unpack() { # PACKAGE PATTERN…
    local package=$1
    shift
    rm -rf "$vm/deb"
    mkdir -p "$vm/deb" "$vm/files"
    (cd "$vm/deb" && apt-get download -qq "$package") >"$vm/apt.log" 2>&1 ||
        skip "cannot download $package: $(tail -n 1 "$vm/apt.log")"
    dpkg-deb --fsys-tarfile "$vm"/deb/*.deb | tar -x -C "$vm/files" --wildcards "$@"
    rm -rf "$vm/deb"
}

# What is built into a kernel is not there.
modules="virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci
    fscache netfs 9pnet 9pnet_virtio 9p"

if [ ! -e "$vm/ready" ]; then
    rm -rf "$vm"
    mkdir -p "$vm"
    kernel=$(apt-cache depends linux-image-amd64 2>/dev/null |
        sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
    [ -n "$kernel" ] || skip "no linux-image-amd64: apt-get update"
    unpack "$kernel" './boot/vmlinuz-*' '*/drivers/virtio/*' '*/fs/9p/*' '*/net/9p/*' \
        '*/fs/fscache/*' '*/fs/netfs/*'
    unpack busybox-static './bin/busybox'
    touch "$vm/ready"
fi

root=$vm/initramfs
rm -rf "$root"
mkdir -p "$root/modules" "$root/host" "$root/proc" "$root/dev"
busybox=$vm/files/bin/busybox
cp "$busybox" "$root/busybox"
for m in $modules; do
    file=$(find "$vm/files" -name "$m.ko*" | head -n 1)
    case $file in
    '') ;;
    *.xz) xz -dc "$file" >"$root/modules/$m.ko" ;;
    *) cp "$file" "$root/modules/$m.ko" ;;
    esac
done

cat >"$root/init" <<'END'
#!/busybox sh
bb=/busybox
$bb mount -t devtmpfs dev /dev
# Which one needs which changes with the kernel: a few rounds get all in.
for round in 1 2 3 4; do
    for m in /modules/*; do $bb insmod $m 2>/dev/null; done
done
$bb mount -t 9p -o trans=virtio,version=9p2000.L,access=any,cache=loose,msize=262144,ro \
    host /host || $bb poweroff -f
$bb mount -t tmpfs tmp /host/tmp
$bb mount -t tmpfs run /host/run
$bb mount -t proc proc /host/proc
$bb mount -t sysfs sys /host/sys
$bb mount --move /dev /host/dev
$bb mount -t cgroup2 cgroup2 /host/sys/fs/cgroup
$bb cp /guest /host/run/guest
exec $bb switch_root /host /bin/bash /run/guest
END
chmod 755 "$root/init"

# What runs in the guest, on the files of this host.
cat >"$root/guest" <<END
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp failed=0
run() { # WHERE TEST…
    local where=\$1 t
    shift
    for t in "\$@"; do
        echo "# \$where: \$t"
        timeout 120 "$build/tests/\$t" 2>&1 && continue
        echo "not ok - \$where: \$t"
        failed=1
    done
}
export -f run
ip link set lo up
cat /proc/version
run "at the top" $tests
MAYFLY_TEST_BLANKS=4 run "of blanks" test_warden test_sandbox_limits
MAYFLY_TEST_RECYCLED=1 run "recycled" test_sandbox_calls
# What needs no interpreter, which takes long to start in here.
echo "# at the top: test_runtime_frozen"
timeout 120 "$build/tests/test_runtime_frozen" '*exec*' 2>&1 || failed=1
echo "# at the top: test_runtime_recycled_life"
timeout 120 "$build/tests/test_runtime_recycled_life" '*_has_it' 2>&1 || failed=1

# As in a container, or a unit with Delegate=yes: a group that we are in and that is ours.
cd /sys/fs/cgroup
mkdir given
echo "+memory +cpu +pids" >cgroup.subtree_control
echo \$\$ >given/cgroup.procs
cd /
unshare -C -m bash -c '
    umount /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit 1
    cat /proc/self/cgroup
    run "in a group given to us" test_warden test_warden_ends
    exit \$failed' || failed=1
echo "guest ended: \$failed"
echo o >/proc/sysrq-trigger
sleep 60
END
(cd "$root" && find . | "$busybox" cpio -o -H newc 2>/dev/null) | gzip -1 >"$vm/initramfs.gz"

# --- the guest ------------------------------------------------------------------------

timeout -k 5 $limit_s qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 1536 \
    -nodefaults -no-user-config -nographic -no-reboot -serial stdio \
    -kernel "$(find "$vm/files/boot" -name 'vmlinuz-*' | head -n 1)" \
    -initrd "$vm/initramfs.gz" \
    -append "console=ttyS0 loglevel=1 panic=-1 no_timer_check cgroup_no_v1=all mitigations=off" \
    -fsdev local,id=host,path=/,security_model=none,readonly=on,multidevs=remap \
    -device virtio-9p-pci,fsdev=host,mount_tag=host \
    </dev/null 2>&1 | tr -d '\r' | tee "$vm/console.log" || true

grep -q '^guest ended: 0$' "$vm/console.log" || {
    echo "the tests in the guest failed, or did not end within $limit_s s: $vm/console.log"
    exit 1
}
