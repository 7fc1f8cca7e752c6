# SPDX-License-Identifier: Apache-2.0
"""Run a command in a guest through qemu-guest-agent: guest.py DOMAIN COMMAND [ARGUMENT]... (prints its output)."""

import base64
import json
import os
import subprocess
import sys
import time

domain, path, *arguments = sys.argv[1:]
uri = "qemu+unix:///system?socket={}/run/libvirt/libvirt-sock".format(
    os.environ.get("MINISTACK_DIR", "/var/lib/ministack")
)


def agent(command, **arguments):
    request = json.dumps({"execute": command, "arguments": arguments})
    out = subprocess.run(
        ["virsh", "-q", "-c", uri, "qemu-agent-command", domain, request, "--timeout", "30"],
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    return json.loads(out)["return"]


pid = agent("guest-exec", path=path, arg=arguments, **{"capture-output": True})["pid"]
while not (state := agent("guest-exec-status", pid=pid))["exited"]:
    time.sleep(0.2)
sys.stdout.buffer.write(base64.b64decode(state.get("out-data", "")))
sys.stderr.buffer.write(base64.b64decode(state.get("err-data", "")))
sys.exit(state.get("exitcode", 1))
