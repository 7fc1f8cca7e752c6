#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How does one run a libvirt of one's own beside whatever else runs on this host?

    tools/lab/libvirtd.py start DIR [QEMU_USER]    start it (or find it running) and print its URI
    tools/lab/libvirtd.py uri DIR      print the URI:  qemu+unix:///system?socket=DIR/libvirt-sock
    tools/lab/libvirtd.py stop DIR     end it and the QEMU processes of its guests; nothing else

The same as functions: ``start(directory) -> uri``, ``uri(directory)``, ``stop(directory)``, ``running(directory) -> pid
or None`` and ``qemu_processes(directory) -> {guest name: pid}``. All may be called again; parallel calls wait for each
other. ``LabError`` carries one plain reason.

The directories of libvirt are compiled in, so the daemon gets a mount namespace of its own in which /etc/libvirt,
/var/lib/libvirt, /var/cache/libvirt, /var/log/libvirt and /run/libvirt lie below DIR. It needs no systemd, no AppArmor,
no virtlogd and no network. Guests survive the end of the daemon and are found again by the next start on the same DIR;
``stop`` ends them. Needs root and the Debian packages libvirt-daemon and qemu-system-x86. DIR must be short: a socket's
path has at most 107 characters.
"""

import contextlib
import fcntl
import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

#: What libvirt finds where, inside its namespace.
PLACES = {
    "etc": "/etc/libvirt",
    "lib": "/var/lib/libvirt",
    "cache": "/var/cache/libvirt",
    "log": "/var/log/libvirt",
    "run": "/run/libvirt",
}
QEMU_CONF = """\
security_driver = "none"
stdio_handler = "file"
cgroup_controllers = [ ]
namespaces = [ ]
dynamic_ownership = {owns}
remember_owner = 0
user = "{user}"
group = "{group}"
"""
#: libvirtd does not start where this user and group do not exist, although nothing runs as them here. Only the package
#: libvirt-daemon-system makes them; without it, the namespace gets copies of these files that have them.
ACCOUNTS = {
    "passwd": "libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin",
    "group": "libvirt-qemu:x:64055:",
}
LIBVIRTD_CONF = """\
unix_sock_dir = "{directory}"
unix_sock_rw_perms = "0700"
auth_unix_ro = "none"
auth_unix_rw = "none"
host_uuid = "{host_uuid}"
max_clients = 200
"""
NAMESPACE = ("unshare", "--mount", "--propagation", "private")
START_SECONDS = 60
STOP_SECONDS = 15


class LabError(Exception):
    """The reason, in one sentence."""


def uri(directory: str | Path) -> str:
    """The libvirt URI of the daemon in ``directory``, whether it runs or not."""
    return f"qemu+unix:///system?socket={_absolute(directory)}/libvirt-sock"


def running(directory: str | Path) -> int | None:
    """The process id of the daemon in ``directory``, or None."""
    root = _absolute(directory)
    with contextlib.suppress(OSError, ValueError):
        pid = int((root / "libvirtd.pid").read_text())
        if _lives_in(pid, root):
            return pid
    return None


def qemu_processes(directory: str | Path) -> dict[str, int]:
    """The guests of the daemon in ``directory`` that run, by name."""
    root = _absolute(directory)
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if b"qemu-system" in words[0] and _lives_in(int(entry.name), root):
                found[_guest_name(words)] = int(entry.name)
    return found


def start(directory: str | Path, *, qemu_user: str = "root") -> str:
    """Start the daemon unless it runs, wait until it answers, and return its URI. Raises LabError.

    With another ``qemu_user`` guests run as that user and libvirt gives them their images, as on an ordinary host.
    """
    root = _absolute(directory)
    if len(str(root / "libvirt-admin-sock")) > 107:
        raise LabError(f"the path {root} is too long for a socket; choose a shorter directory")
    if shutil.which("libvirtd") is None:
        raise LabError("there is no libvirtd on this host; it is in the Debian package libvirt-daemon")
    with _locked(root):
        if running(root) is None:
            _require_namespace()
            _prepare(root, qemu_user)
            _launch(root)
    return uri(root)


def stop(directory: str | Path) -> None:
    """End the guests of this lab, then its daemon. Raises LabError where one of them does not end."""
    root = _absolute(directory)
    if not root.is_dir():
        return
    with _locked(root):
        _end(list(qemu_processes(root).values()))
        daemon = running(root)
        if daemon is not None:
            _end([daemon])
        for name in ("libvirtd.pid", "libvirt-sock", "libvirt-sock-ro", "libvirt-admin-sock"):
            (root / name).unlink(missing_ok=True)


def _absolute(directory: str | Path) -> Path:
    return Path(directory).resolve()


def _lives_in(pid: int, root: Path) -> bool:
    """Whether that process sees this lab's directory as /var/lib/libvirt: the one mark that nothing else can have."""
    try:
        if (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return False
        return Path(f"/proc/{pid}/root{PLACES['lib']}").samefile(root / "lib")
    except OSError:
        return False


def _guest_name(words: list[bytes]) -> str:
    for at, word in enumerate(words[:-1]):
        if word == b"-name":
            return words[at + 1].decode(errors="replace").removeprefix("guest=").partition(",")[0]
    return ""


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    root.chmod(0o711)  # QEMU may run as another user
    with (root / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _prepare(root: Path, qemu_user: str) -> None:
    """Directories and settings; those that are there stay, so that a second start finds its guests again."""
    for name, place in PLACES.items():
        (root / name).mkdir(exist_ok=True)
        try:
            Path(place).mkdir(parents=True, exist_ok=True)  # the place to mount on; stays empty outside the namespace
        except OSError as error:
            raise LabError(f"cannot make {place}: {error.strerror}; run this as root") from error
    group = grp.getgrgid(pwd.getpwnam(qemu_user).pw_gid).gr_name
    owns = int(qemu_user != "root")
    (root / "etc" / "qemu.conf").write_text(QEMU_CONF.format(user=qemu_user, group=group, owns=owns))
    settings = root / "etc" / "libvirtd.conf"
    if not settings.exists():
        settings.write_text(LIBVIRTD_CONF.format(directory=root, host_uuid=uuid.uuid4()))


def _require_namespace() -> None:
    """Raises LabError with what the system said. A user namespace is no way out: QEMU is then refused its groups."""
    probe = subprocess.run(
        [*NAMESPACE, "sh", "-c", "mount --bind /tmp /mnt"], capture_output=True, text=True, timeout=20, check=False
    )
    if probe.returncode != 0:
        raise LabError(
            f"this system does not let me make a mount namespace ({probe.stderr.strip()}); a private libvirt needs "
            "one: run as root, in a container with CAP_SYS_ADMIN"
        )


def _accounts(root: Path) -> dict[str, str]:
    """What else to mount where: copies of the account files, where the host's own lack something."""
    wanted = {}
    for name, line in ACCOUNTS.items():
        text = (Path("/etc") / name).read_text()
        if not any(entry.startswith("libvirt-qemu:") for entry in text.splitlines()):
            (root / name).write_text(f"{text.rstrip()}\n{line}\n")
            wanted[name] = f"/etc/{name}"
    return wanted


def _launch(root: Path) -> None:
    places = {**_accounts(root), **PLACES}
    mounts = " && ".join(f'mount --bind "{root / name}" {place}' for name, place in places.items())
    daemon = f'exec libvirtd -f "{root}/etc/libvirtd.conf" -p "{root}/libvirtd.pid"'
    with (root / "libvirtd.log").open("ab") as log:
        process = subprocess.Popen(
            [*NAMESPACE, "sh", "-c", f"{mounts} && {daemon}"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/",
        )  # fmt: skip
    # The daemon outlives this function and perhaps this process; a thread waits for it, so that no zombie stays.
    threading.Thread(target=process.wait, daemon=True).start()
    deadline = time.monotonic() + START_SECONDS
    while not _answers(root / "libvirt-sock"):
        if process.poll() is not None:
            raise LabError(f"libvirtd ended at once: {_last_line(root / 'libvirtd.log')}")
        if time.monotonic() > deadline:
            process.terminate()
            raise LabError(f"libvirtd does not answer after {START_SECONDS} s: {_last_line(root / 'libvirtd.log')}")
        time.sleep(0.05)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
        return True


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _end(pids: list[int]) -> None:
    """Ask the processes to end, then force them; wait until they are gone."""
    for number, patience in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, 5)):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + patience
        while any(_alive(pid) for pid in pids):
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        else:
            return
    raise LabError(f"processes {', '.join(map(str, pids))} do not end")


def _alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def main(argv: list[str]) -> int:
    """The command line; see the module text."""
    actions = {"start": start, "uri": uri, "stop": stop}
    if len(argv) not in (3, 4) or argv[1] not in actions or (len(argv) == 4 and argv[1] != "start"):
        print("usage: libvirtd.py start DIR [QEMU_USER] | uri DIR | stop DIR", file=sys.stderr)
        return 2
    try:
        said = start(argv[2], qemu_user=argv[3]) if len(argv) == 4 else actions[argv[1]](argv[2])
    except LabError as error:
        print(f"libvirtd.py: {error}", file=sys.stderr)
        return 1
    if said:
        print(said)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
