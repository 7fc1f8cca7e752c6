# SPDX-License-Identifier: Apache-2.0
# Which steps do the shell scripts of this directory share? Source this file; it defines functions only.

say() { printf '%s\n' "== $*"; }

die() {
    printf '%s\n' "${0##*/}: $*" >&2
    exit 1
}

# need_root "$@": become root through sudo, with the same arguments, or end with a reason.
need_root() {
    [ "$(id -u)" -eq 0 ] && return
    command -v sudo >/dev/null || die "run this as root"
    if [ -t 0 ]; then exec sudo -- "$0" "$@"; else exec sudo -n -- "$0" "$@"; fi
}

# install_packages NAME...: install the Debian packages that are missing, without questions.
install_packages() {
    local name missing=()
    for name in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
    done
    [ ${#missing[@]} -eq 0 ] && return
    say "installing Debian packages: ${missing[*]}"
    apt_quietly update || die "apt-get update failed: $(tail -1 "$apt_log") (see $apt_log)"
    apt_quietly install -y --no-install-recommends "${missing[@]}" || die "apt-get install failed: $(tail -1 "$apt_log") (see $apt_log)"
}

# apt_quietly ARGS...: apt-get without questions; what it says goes to $apt_log.
apt_quietly() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" </dev/null >>"$apt_log" 2>&1
}

# package_lists: make sure apt knows packages to download.
package_lists() {
    apt-cache show busybox-static >/dev/null 2>&1 || apt_quietly update || die "apt-get update failed: $(tail -1 "$apt_log") (see $apt_log)"
}

# find_python: print a Python that is new enough; the distribution's own first, for its headers are installed.
find_python() {
    local python
    for python in /usr/bin/python3 python3; do
        if "$python" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    die "no Python 3.11 or newer was found"
}

# virtual_environment DIR: make it where it is missing or was moved.
virtual_environment() {
    if ! "$1/bin/python" -c 'import pip' 2>/dev/null || ! head -2 "$1/bin/pip" | grep -qF "$1/bin/"; then
        rm -rf "$1"
        "$(find_python)" -m venv "$1" || die "cannot make a virtual environment in $1"
    fi
}

# fingerprint FILE...: one word that changes when any of the files does.
fingerprint() { cat "$@" | sha256sum | cut -d' ' -f1; }
