#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# How can one see in five minutes that Karbor brings a running KVM guest back?
#
#   tools/quickstart.sh [--dir DIR] [--keep] [--no-kvm] [--port N]
#   tools/quickstart.sh --stop [--dir DIR]
#
# On a fresh Debian 12, as root or with sudo: installs the Debian packages it needs, makes a virtual environment, starts
# karbor-all-in-one and a libvirt of its own, boots a small guest, protects it three times while it works, destroys it
# and restores two of the three points, comparing every file. Everything it makes lies under DIR (./quickstart); guests
# and libvirts that were there before are not touched. It may be run again.
#
#   --keep    leave the service and a restored guest up, and print commands to try
#   --no-kvm  do not try KVM
#   --port    port of the service on 127.0.0.1 (default: a free one)
#   --stop    stop what an earlier run with --keep left, and nothing else
set -euo pipefail

top=$(cd "$(dirname "$(realpath "$0")")/.." && pwd)
# shellcheck source=tools/lib.sh
. "$top/tools/lib.sh"

usage() {
    sed -n '5,18s/^# \{0,1\}//p' "$0"
    exit "$1"
}

directory=$PWD/quickstart
arguments=()
given=("$@")
while [ $# -gt 0 ]; do
    case "$1" in
        --dir) [ $# -gt 1 ] || usage 2; directory=$(realpath -m "$2"); shift ;;
        --port) [ $# -gt 1 ] || usage 2; arguments+=(--port "$2"); shift ;;
        --keep | --no-kvm | --stop) arguments+=("$1") ;;
        -h | --help) usage 0 ;;
        *) usage 2 ;;
    esac
    shift
done
need_root "${given[@]}"
umask 022
mkdir -p "$directory/log"
apt_log=$directory/log/apt.log

case " ${arguments[*]-} " in
    *" --stop "*) ;;
    *)
        install_packages ca-certificates python3 python3-venv python3-dev gcc libc6-dev pkg-config libvirt-dev \
            libvirt-daemon qemu-system-x86 qemu-utils e2fsprogs cpio mount
        package_lists

        # The service runs from a copy of this source tree, so that nothing is written into the tree itself.
        source=$directory/source
        rm -rf "$source.new"
        mkdir -p "$source.new"
        for name in setup.py setup.cfg pyproject.toml requirements.txt README.rst LICENSE karbor etc tools; do
            cp -R "$top/$name" "$source.new/"
        done
        rm -rf "$source"
        mv "$source.new" "$source"

        virtual_environment "$directory/venv"
        wanted=$(fingerprint "$source"/{setup.py,setup.cfg,pyproject.toml,requirements.txt})
        if [ "$(cat "$directory/venv/.installed" 2>/dev/null)" != "$wanted" ]; then
            say "installing Karbor and the Python packages it needs"
            PBR_VERSION=0.0.1 "$directory/venv/bin/pip" install -q --disable-pip-version-check -e "$source" \
                </dev/null >"$directory/log/pip.log" 2>&1 ||
                die "pip install failed: $(grep -i error "$directory/log/pip.log" | tail -1) (see $directory/log/pip.log)"
            echo "$wanted" >"$directory/venv/.installed"
        fi

        say "making the guest's kernel and initramfs"
        "$top/tools/lab/mkguest.sh" "$directory/guest" || {
            apt_quietly update
            "$top/tools/lab/mkguest.sh" "$directory/guest"
        }
        ;;
esac

cd "$directory"
[ -x "$directory/venv/bin/python" ] || die "there is nothing in $directory"
PYTHONPATH=$directory/source exec "$directory/venv/bin/python" -m tools.quickstart \
    --dir "$directory" "${arguments[@]}" </dev/null
