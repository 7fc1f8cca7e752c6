#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Which guest do the quickstart and the system tests boot? A kernel and an initramfs, made from Debian packages alone.
#
#   tools/lab/mkguest.sh OUTDIR      makes OUTDIR/vmlinuz and OUTDIR/initrd.img; prints nothing but errors
#
# What the guest does
#   - loads virtio (pci, block, console); ext4 is part of the kernel
#   - mounts every /dev/vd? that carries ext4 under /mnt/vd?, with discard; it formats nothing
#   - runs qemu-guest-agent: freeze and thaw (hook: /etc/qemu/fsfreeze-hook, log: /run/hook.log), guest-exec with busybox
#     (sh, dd, sha256sum, fstrim, blockdev ...), guest-shutdown
#   - prints "GUEST-READY" on the first serial port when all that is done
# Kernel command line: console=ttyS0 quiet panic=-1 [writer=SECONDS]. With writer=, it appends to /mnt/<first>/writer.log
# and rewrites files beside it every SECONDS.
#
# Needs apt-get, dpkg-deb, cpio, gzip, flock (all in Debian 12 but cpio) and the package lists (apt-get update); any user.
# Packages are kept in OUTDIR/packages. The same packages give the same bytes. A second run with nothing new does nothing;
# parallel runs wait for each other.
set -euo pipefail
export LC_ALL=C TZ=UTC DEBIAN_FRONTEND=noninteractive

die() { echo "mkguest: $*" >&2; exit 1; }

[ $# -eq 1 ] || die "usage: mkguest.sh OUTDIR"
here=$(dirname "$(realpath "$0")")
out=$(realpath -m "$1")
mkdir -p "$out/packages"
exec 9>"$out/.lock"
flock -w 600 9 || die "another run has held $out/.lock for ten minutes"

made_by=$(sha256sum "$here/mkguest.sh" | cut -d' ' -f1)
if [ -s "$out/vmlinuz" ] && [ -s "$out/initrd.img" ] && [ "$(cat "$out/.made-by" 2>/dev/null)" = "$made_by" ]; then
    exit 0
fi
for tool in apt-get apt-cache dpkg-deb cpio gzip; do
    command -v "$tool" >/dev/null || die "$tool is missing; it is in the Debian package of that name"
done
[ "$(dpkg --print-architecture)" = amd64 ] || die "only amd64 guests can be made"

depends() { # direct dependencies of some packages, one name per line
    apt-cache depends --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances "$@" |
        sed -n 's/^  Depends: \([a-z0-9][^ ]*\)$/\1/p'
}

libraries() { # every library package below a package
    local all="" next=("$1") level
    while [ ${#next[@]} -gt 0 ]; do
        level=$(depends "${next[@]}" | grep '^lib' | sort -u | grep -vxF "$all" || true)
        mapfile -t next < <(printf '%s' "$level")
        all=$(printf '%s\n%s' "$all" "$level")
    done
    echo "$all" | grep . | sort -u
}

kernel=$(depends linux-image-cloud-amd64 | grep '^linux-image-[0-9]' | head -1) || true
[ -n "$kernel" ] || die "apt knows no linux-image-cloud-amd64; run apt-get update first"
mapfile -t names < <(printf '%s\n' "$kernel" busybox-static qemu-guest-agent && libraries qemu-guest-agent)

work=$(mktemp -d "$out/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT
missing=()
for name in "${names[@]}"; do
    compgen -G "$out/packages/${name}_*.deb" >/dev/null || missing+=("$name")
done
if [ ${#missing[@]} -gt 0 ]; then
    mkdir "$work/new"
    (cd "$work/new" && apt-get -qq -o APT::Sandbox::User=root download "${missing[@]}" </dev/null >"$work/log" 2>&1) ||
        die "cannot download ${missing[*]}: $(tail -1 "$work/log")"
    mv "$work/new"/*.deb "$out/packages/"
fi
for name in "${names[@]}"; do
    dpkg-deb -x "$(printf '%s\n' "$out/packages/${name}"_*.deb | sort -V | tail -1)" "$work/x"
done

root=$work/root
mkdir -p "$root"/{bin,dev,proc,sys,tmp,run,mnt,lib/modules,lib64,sbin,usr/sbin,etc/qemu,var}
ln -s /run "$root/var/run"
cp "$work/x/bin/busybox" "$root/bin/busybox"
"$root/bin/busybox" --list | while read -r applet; do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done

modules="virtio/virtio_ring virtio/virtio virtio/virtio_pci_legacy_dev virtio/virtio_pci_modern_dev virtio/virtio_pci
         block/virtio_blk char/virtio_console"
for module in $modules; do
    cp "$work"/x/lib/modules/*/kernel/drivers/"$module".ko "$root/lib/modules/" || die "$kernel has no module $module"
done

# The agent and its libraries come from the packages just unpacked, whatever this host runs.
agent=$work/x/usr/sbin/qemu-ga
cp "$agent" "$root/usr/sbin/"
loader=$(find "$work/x" -name 'ld-linux-x86-64.so.2' ! -type d | sort | head -1)
cp -L "$work"/x/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 "$root/lib64/ld-linux-x86-64.so.2" 2>/dev/null ||
    cp -L "$loader" "$root/lib64/ld-linux-x86-64.so.2"
found=$("$root/lib64/ld-linux-x86-64.so.2" --inhibit-cache \
    --library-path "$work/x/lib/x86_64-linux-gnu:$work/x/usr/lib/x86_64-linux-gnu" --list "$agent") ||
    die "qemu-guest-agent lacks a library: $found"
mkdir -p "$root/lib/x86_64-linux-gnu"
echo "$found" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p' | while read -r library; do
    case "$library" in
        "$work"/*) cp -L "$library" "$root/lib/x86_64-linux-gnu/" ;;
        */ld-linux*) ;;
        *) die "$library comes from this host, not from a package" ;;
    esac
done

cat >"$root/etc/qemu/fsfreeze-hook" <<'HOOK'
#!/bin/sh
# The agent calls this with "freeze" before and "thaw" after; the log lets a test see the calls.
echo "$1 $(cut -d' ' -f1 /proc/uptime)" >>/run/hook.log
HOOK

cat >"$root/sbin/shutdown" <<'SHUTDOWN'
#!/bin/sh
# The agent's guest-shutdown: shutdown -P|-H|-r +0 ...
for mounted in /mnt/*; do umount "$mounted" 2>/dev/null; done
sync
case "$1" in -r) exec reboot -f ;; *) exec poweroff -f ;; esac
SHUTDOWN

cat >"$root/init" <<'INIT'
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/virtio-ports
mount -t tmpfs run /run
for module in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk virtio_console; do
    insmod /lib/modules/$module.ko || echo "insmod $module failed"
done
tries=0
until ls /dev/vport* >/dev/null 2>&1 || [ $tries -ge 40 ]; do tries=$((tries + 1)); usleep 50000; done
for disk in /dev/vd?; do
    [ -b "$disk" ] || continue
    place=/mnt/${disk##*/}
    mkdir -p "$place"
    mount -t ext4 -o discard "$disk" "$place" 2>/dev/null || rmdir "$place"
done
for port in /sys/class/virtio-ports/*; do
    [ -e "$port/name" ] && ln -sf "/dev/${port##*/}" "/dev/virtio-ports/$(cat "$port/name")"
done
channel=/dev/virtio-ports/org.qemu.guest_agent.0
[ -e $channel ] && /usr/sbin/qemu-ga -d -m virtio-serial -p $channel -F/etc/qemu/fsfreeze-hook -t /run \
    -f /run/qga.pid -l /run/qga.log
pause=$(sed -n 's/.*writer=\([0-9.]*\).*/\1/p' /proc/cmdline)
first=$(ls -d /mnt/* 2>/dev/null | head -1)
if [ -n "$pause" ] && [ -n "$first" ]; then
    (
        count=0
        while :; do
            count=$((count + 1))
            echo "$count $(cut -d' ' -f1 /proc/uptime)" >>"$first/writer.log"
            dd if=/dev/urandom of="$first/writer.$((count % 16))" bs=64k count=4 conv=fsync 2>/dev/null
            sleep "$pause"
        done
    ) &
fi
echo "GUEST-READY uptime=$(cut -d' ' -f1 /proc/uptime)"
exec /bin/sh -c 'while :; do sleep 3600 & wait; done'
INIT
chmod 0755 "$root/init" "$root/etc/qemu/fsfreeze-hook" "$root/sbin/shutdown"
find "$root" -exec touch -h -d @0 {} +
(cd "$root" && find . | sort | cpio -o -H newc --quiet --reproducible -R 0:0) | gzip -9n >"$work/initrd.img"
cp "$work"/x/boot/vmlinuz-* "$work/vmlinuz"
mv "$work/vmlinuz" "$out/vmlinuz"
mv "$work/initrd.img" "$out/initrd.img"
echo "$made_by" >"$out/.made-by"
