# SPDX-License-Identifier: Apache-2.0
"""Can this host really run guests with KVM?

The existence of /dev/kvm does not tell: under some hypervisors it opens and then no guest gets through early boot. So
the small guest is booted with it for a few seconds; what does not reach its last line in time runs with TCG.
"""

import os
import subprocess
import time
from pathlib import Path

PATIENCE_SECONDS = 10
EMULATOR = "/usr/bin/qemu-system-x86_64"


def domain_type(guest_dir: str | Path, *, no_kvm: bool = False) -> str:
    """ "kvm" if the guest of mkguest.sh boots with it, else "qemu" (TCG). KARBOR_LAB_NO_KVM in the environment, if not
    empty, says "qemu" without a trial."""
    if no_kvm or os.environ.get("KARBOR_LAB_NO_KVM") or not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "qemu"
    return "kvm" if _boots(Path(guest_dir)) else "qemu"


def _boots(guest_dir: Path) -> bool:
    command = [
        EMULATOR, "-machine", "pc,accel=kvm", "-m", "256", "-nodefaults", "-display", "none", "-no-reboot",
        "-kernel", str(guest_dir / "vmlinuz"), "-initrd", str(guest_dir / "initrd.img"),
        "-append", "console=ttyS0 quiet panic=-1", "-serial", "stdio",
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            return _says_ready(process)
        finally:
            process.kill()


def _says_ready(process: "subprocess.Popen[bytes]") -> bool:
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    deadline, said = time.monotonic() + PATIENCE_SECONDS, b""
    while time.monotonic() < deadline and process.poll() is None:
        said += process.stdout.read() or b""
        if b"GUEST-READY" in said:
            return True
        time.sleep(0.1)
    return False
