#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Is this tree right? On a bare Debian 12, installs what the checks need and runs all of them.
#
#   tools/run_tests.sh [--quick] [PYTEST ARGUMENT...]
#   tools/run_tests.sh openstack [PYTEST ARGUMENT...]
#
# In this order: ruff, ruff format, import-linter, mypy, our own lint (tools/lint), generated files, then pytest twice at
# the same time: unit, tools, contract, functional, fuzz, format; and crash, simulation, system. A failing check does not
# keep the later ones from running; the exit code tells whether all passed. Without a terminal and without questions.
#
#   --quick           no system tests: neither root nor servers nor guests are needed
#   openstack         only the tests against a real OpenStack, tests/openstack: brings up tools/ministack (or goes on
#                     with the one that runs, and leaves it running), and says how long it took and what memory it uses
#   PYTEST ARGUMENT   handed to pytest; a path among them replaces all tests by that path
#
# System tests need root: they install (once) and start RabbitMQ, MariaDB and a libvirt of their own, and boot guests.
set -euo pipefail

top=$(cd "$(dirname "$(realpath "$0")")/.." && pwd)
# shellcheck source=tools/lib.sh
. "$top/tools/lib.sh"

quick=
openstack=
case "${1-}" in
    --quick) quick=yes; shift ;;
    openstack) openstack=yes ;;
    -h | --help) sed -n '5,19s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
[ -n "$quick" ] || need_root "$@"
[ -z "$openstack" ] || shift # only now: need_root begins this program anew with all its arguments
export DEBIAN_FRONTEND=noninteractive
apt_log=$(mktemp)
exec </dev/null
cd "$top"

install_packages ca-certificates python3 python3-venv python3-dev gcc libc6-dev pkg-config libvirt-dev qemu-utils
if [ -z "$quick$openstack" ]; then
    install_packages libvirt-daemon qemu-system-x86 e2fsprogs cpio mount rabbitmq-server mariadb-server-core \
        mariadb-client-core postgresql libnbd-bin swift-proxy swift-account swift-container swift-object memcached \
        dosfstools mtools ntfs-3g xfsprogs exfatprogs python3-barbican
    package_lists
fi

venv=$top/.venv
virtual_environment "$venv"
wanted=$(fingerprint requirements.txt test-requirements.txt setup.cfg setup.py pyproject.toml)
if [ "$(cat "$venv/.installed" 2>/dev/null)" != "$wanted" ]; then
    say "installing Karbor and what its tests need into .venv"
    # pbr takes the version from git; a tree without usable git metadata gets one by hand.
    git -C "$top" log -1 >/dev/null 2>&1 || export PBR_VERSION=0.0.1
    "$venv/bin/pip" install -q --disable-pip-version-check -r requirements.txt -r test-requirements.txt -e "$top" ||
        die "pip install failed"
    echo "$wanted" >"$venv/.installed"
fi

export PATH=$venv/bin:$PATH

if [ -n "$openstack" ]; then
    begun=$SECONDS
    MINISTACK_CEPH=1 MINISTACK_MANILA=1 tools/ministack/ministack up || die "the cloud did not come up; see /var/lib/ministack/log"
    say "the cloud is up after $((SECONDS - begun)) s"
    eval "$(tools/ministack/ministack env)"
    begun=$SECONDS code=0
    python -m pytest tests/openstack "$@" || code=$?
    say "tests took $((SECONDS - begun)) s; the cloud has $(tools/ministack/ministack status | tail -n 1)"
    exit "$code"
fi

failed=()
check() { # name, command...
    local name=$1
    shift
    say "$name"
    "$@" || failed+=("$name")
}

check "ruff" ruff check --quiet .
check "ruff format" ruff format --check --quiet .
check "import rule" lint-imports
check "types" mypy -p karbor
check "habits" python tools/lint/habits.py
check "unit tests mirror the product" python tools/lint/mirror.py
[ ! -e tools/genapi.py ] || check "generated files" python tools/genapi.py --check

marks=()
[ -z "$quick" ] || marks=(-m "not system and not libvirt")
chosen=
for argument in "$@"; do
    [ ! -e "${argument%%::*}" ] || chosen=yes
done
here() { # those of the named directories of tests/ that are there
    for name in "$@"; do
        [ ! -d "tests/$name" ] || printf 'tests/%s\n' "$name"
    done
}
mapfile -t plain < <(here unit tools contract functional fuzz format)
mapfile -t wholes < <(here crash simulation "${quick:-system}")

[ ${#failed[@]} -eq 0 ] || say "failed before the tests: ${failed[*]}"
code=0
if [ -n "$chosen" ]; then
    say "tests"
    python -m pytest "${marks[@]}" "$@" || code=$?
else
    # Two at a time: tests of single parts, and those that start whole services, which mostly wait.
    say "tests: ${wholes[*]} in the background, its report follows the other"
    report=$(mktemp)
    python -m pytest -p no:cacheprovider "${marks[@]}" "${wholes[@]}" "$@" >"$report" 2>&1 &
    background=$!
    say "tests: ${plain[*]}"
    python -m pytest "${marks[@]}" "${plain[@]}" "$@" || code=$?
    wait "$background" || code=$?
    say "tests: ${wholes[*]}"
    cat "$report"
    rm -f "$report"
fi
[ ${#failed[@]} -eq 0 ] || exit 1
exit "$code"
