# SPDX-License-Identifier: Apache-2.0
"""How is another program run? The only place that starts processes."""

import contextlib
import subprocess
import tempfile
from collections.abc import Callable, Sequence

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
        raise _failed(arguments, done.returncode, done.stderr)
    return done.stdout


def run_watched(arguments: Sequence[str], *, check: Callable[[], None], between: float = 0.5) -> None:
    """Run a program that may take long to its end; ``check`` is called meanwhile, and where it raises, the program is
    ended. Raises Unavailable and StepFailed as ``run`` does."""
    with tempfile.TemporaryFile() as said:
        try:
            process = start(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said)
        except OSError as fault:
            raise errors.Unavailable(f"The program {arguments[0]} cannot be started.", detail=str(fault)) from fault
        try:
            while process.poll() is None:
                check()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(between)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode != 0:
            said.seek(0)
            raise _failed(arguments, process.returncode, said.read())


def _failed(arguments: Sequence[str], code: int, said: bytes) -> errors.StepFailed:
    tail = said.decode(errors="replace").strip()[-500:]
    return errors.StepFailed(
        f"The program {arguments[0]} failed.", detail=f"{' '.join(arguments)}: exit {code}: {tail}"
    )


def start(arguments: Sequence[str], **options: object) -> "subprocess.Popen[bytes]":
    """Start a program that runs beside us; the caller ends it."""
    return subprocess.Popen(list(arguments), **options)  # type: ignore[call-overload,no-any-return]  # noqa: S603
