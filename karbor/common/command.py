# SPDX-License-Identifier: Apache-2.0
"""How is another program run? The only place that starts processes."""

import subprocess
from collections.abc import Sequence

from karbor.model import errors


def run(arguments: Sequence[str], *, timeout: float = 60, text_in: bytes | None = None) -> bytes:
    """Run a program to its end and return what it wrote to standard output.

    Raises Unavailable where it cannot be started (missing, not executable) or takes longer than ``timeout`` seconds,
    StepFailed where it fails; the operator text carries the end of standard error. Without ``text_in`` it reads an
    empty input, never ours.
    """
    try:
        done = subprocess.run(  # noqa: S603 - arguments are a list, never a shell line
            list(arguments), input=text_in or b"", capture_output=True, timeout=timeout, check=False
        )
    except FileNotFoundError as fault:
        raise errors.Unavailable(
            f"The program {arguments[0]} is not installed on this host.", detail=str(fault)
        ) from fault
    except OSError as fault:
        raise errors.Unavailable(f"The program {arguments[0]} cannot be started.", detail=str(fault)) from fault
    except subprocess.TimeoutExpired as fault:
        raise errors.Unavailable(f"The program {arguments[0]} did not end in time.", detail=str(fault)) from fault
    if done.returncode != 0:
        tail = done.stderr.decode(errors="replace").strip()[-500:]
        raise errors.StepFailed(
            f"The program {arguments[0]} failed.", detail=f"{' '.join(arguments)}: exit {done.returncode}: {tail}"
        )
    return done.stdout


def start(arguments: Sequence[str], **options: object) -> "subprocess.Popen[bytes]":
    """Start a program that runs beside us; the caller ends it."""
    return subprocess.Popen(list(arguments), **options)  # type: ignore[call-overload,no-any-return]  # noqa: S603
