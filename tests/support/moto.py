# SPDX-License-Identifier: Apache-2.0
"""How do tests get an S3 service of their own? moto: its server, data in memory.

It decides races of conditional puts as S3 does. It is lenient elsewhere: any key is good, damaged bodies are taken, and
locks can be shortened. What passes here shows that requests are right, not that a store is safe.
"""

import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.support import servers


@contextmanager
def moto() -> Iterator[servers.Server]:
    """An empty S3 service; ``url`` is its endpoint."""

    def command(port: int) -> Sequence[str]:
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]

    def ready(port: int) -> None:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).close()

    # Without a region and keys of its own, the server would look for those of the user who runs the tests.
    environment = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    with servers.directory() as home:
        plan = servers.Plan("moto", command, ready, "SIGKILL", environment={"HOME": str(home)} | environment)
        with servers.running(plan, home) as server:
            server.url = f"http://127.0.0.1:{server.port}"
            yield server
