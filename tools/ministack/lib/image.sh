# SPDX-License-Identifier: Apache-2.0
# build_image DIR: writes disk.qcow2, vmlinuz and initrd there; the disk is a bootable disk of ~40 MiB: GRUB, Debian's cloud kernel, busybox and
# qemu-guest-agent. The guest mounts every further disk that holds ext4 on /mnt/vdX and says so on its console; it obeys qemu-ga.
IMAGE_PKGS="e2fsprogs cpio kmod fdisk busybox-static qemu-guest-agent grub-pc-bin qemu-utils"
IMAGE_MODULES="virtio_pci virtio_blk virtio_net virtio_console virtio_balloon virtio_rng ext4 isofs"

build_image() {
  local out=$1 w; w=$(mktemp -d "$DIR/data/image.XXXX")
  local root=$w/root kver kpkg p
  kpkg=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/ {print $2; exit}')
  (cd "$w" && apt-get download -qq "$kpkg")
  dpkg-deb -x "$w"/linux-image-*.deb "$w/k"
  kver=$(ls "$w/k/lib/modules"); depmod -b "$w/k" "$kver"

  mkdir -p "$root"/{bin,sbin,boot/grub,dev,proc,sys,run,tmp,mnt,etc,lib64,lib/modules,usr/sbin,root}
  cp /bin/busybox "$root/bin/busybox"; ln -s busybox "$root/bin/sh"
  cp /usr/sbin/qemu-ga "$root/usr/sbin/"
  for p in $(ldd /usr/sbin/qemu-ga | awk '/\// {print ($3 ~ /^\//) ? $3 : $1}'); do mkdir -p "$root$(dirname "$p")"; cp -L "$p" "$root$p"; done
  printf 'root:x:0:0:root:/root:/bin/sh\n' > "$root/etc/passwd"
  for p in $IMAGE_MODULES; do modprobe -d "$w/k" -S "$kver" --show-depends $p | awk '/^insmod/ {print $2}'; done | awk '!seen[$0]++' > "$w/mods"
  while read -r p; do cp "$p" "$root/lib/modules/"; basename "$p"; done < "$w/mods" > "$root/lib/modules/order"

  cat > "$root/sbin/init" <<'INIT'
#!/bin/sh
# first as the initramfs (loads modules, moves to the disk), then as init of the disk
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
if [ ! -e /.disk ]; then
  /bin/busybox --install -s /bin
  mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
  while read m; do insmod "/lib/modules/$m" 2>/dev/null; done < /lib/modules/order
  n=0; while [ ! -b /dev/vda1 ] && [ $n -lt 100 ]; do n=$((n+1)); usleep 100000; done
  mount -t ext4 /dev/vda1 /mnt
  umount /proc /sys; mount --move /dev /mnt/dev
  exec switch_root /mnt /sbin/init
fi
/bin/busybox --install -s /bin 2>/dev/null
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs run /run
mkdir -p /dev/pts /dev/virtio-ports; mount -t devpts pts /dev/pts
ip link set lo up
for p in /sys/class/virtio-ports/*; do [ -e "$p/name" ] && ln -sf "/dev/${p##*/}" "/dev/virtio-ports/$(cat "$p/name")"; done
if [ -e /dev/virtio-ports/org.qemu.guest_agent.0 ]; then
  qemu-ga -d -m virtio-serial -p /dev/virtio-ports/org.qemu.guest_agent.0 -t /run -f /run/qga.pid -l /run/qga.log
fi
echo "MINISTACK-READY $(cut -d' ' -f1 /proc/uptime)" > /dev/console
while :; do
  for d in /dev/vd[b-z]; do
    m=/mnt/${d##*/}
    [ -b "$d" ] || { grep -q " $m " /proc/mounts && umount -l "$m"; continue; }
    grep -q "^$d " /proc/mounts && continue
    mkdir -p "$m"; mount -t ext4 "$d" "$m" 2>/dev/null && echo "MINISTACK-MOUNTED $d" > /dev/console
  done
  sleep 1
done
INIT
  printf '#!/bin/sh\nsync; poweroff -f\n' > "$root/sbin/shutdown"; chmod 755 "$root/sbin/"*
  ln -s sbin/init "$root/init"
  (cd "$root" && find . | cpio -o -H newc --quiet | gzip -9) > "$w/initrd"
  rm "$root/init"; : > "$root/.disk"; rm -rf "$root"/lib/modules/*
  cp "$w/k/boot/vmlinuz-$kver" "$root/boot/vmlinuz"; cp "$w/initrd" "$root/boot/initrd"
  cp "$root"/boot/{vmlinuz,initrd} "$out/"

  mke2fs -q -t ext4 -O ^metadata_csum,^64bit,^orphan_file -L ministack -d "$root" "$w/part" 56M
  truncate -s 58M "$w/disk"; echo '2048,,83,*' | sfdisk -q "$w/disk"
  dd if="$w/part" of="$w/disk" bs=1M seek=1 conv=notrunc,sparse status=none
  cat > "$w/grub.cfg" <<'CFG'
set root=(hd0,msdos1)
serial --unit=0
terminal_output serial
linux /boot/vmlinuz console=ttyS0 quiet panic=5 net.ifnames=0
initrd /boot/initrd
boot
CFG
  grub-mkimage -O i386-pc -o "$w/core.img" -p / -c "$w/grub.cfg" biosdisk part_msdos ext2 linux serial
  dd if=/usr/lib/grub/i386-pc/boot.img of="$w/disk" bs=446 count=1 conv=notrunc status=none
  dd if="$w/core.img" of="$w/disk" bs=512 seek=1 conv=notrunc status=none
  qemu-img convert -O qcow2 -c "$w/disk" "$out/disk.qcow2"
  rm -rf "$w"
}
