# SPDX-License-Identifier: Apache-2.0
# A guest image, built here from Debian packages (see lib/image.sh), and its upload
. "$HERE/lib/image.sh"
pkgs_guest() { echo "$IMAGE_PKGS"; }
up_guest() {
  local d=$DIR/data/guest; mkdir -p "$d"
  step "guest: build the image" once guest-image build_image "$d"
  step "guest: upload" once guest-upload seed image "$d"/{disk.qcow2,vmlinuz,initrd}
}
