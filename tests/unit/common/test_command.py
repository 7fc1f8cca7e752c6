# SPDX-License-Identifier: Apache-2.0
"""Does a program that ends well give its output, and every other end an error that operators can use?"""

import os
import subprocess
import sys

import pytest

from karbor.common import command
from karbor.model import errors


def _python(text):
    return [sys.executable, "-c", text]


def test_output_is_returned_and_errors_are_not():
    assert command.run(_python("import sys; print('out'); print('err', file=sys.stderr)")) == b"out\n"


def test_input_reaches_the_program():
    assert command.run(["cat"], text_in=b"\x00bytes\xff") == b"\x00bytes\xff"


def test_without_input_the_program_reads_an_empty_one():
    assert command.run(["cat"]) == b""


def test_a_program_that_reads_nothing_of_a_large_input_may_end_well():
    assert command.run(["true"], text_in=bytes(1 << 20)) == b""


def test_arguments_never_meet_a_shell():
    assert command.run(["printf", "%s", "$(id); *"]) == b"$(id); *"


def test_failure_tells_users_the_program_and_operators_the_rest():
    with pytest.raises(errors.StepFailed) as caught:
        command.run(_python("import sys; print('the cause', file=sys.stderr); sys.exit(3)"))
    assert sys.executable in caught.value.message
    assert "the cause" not in caught.value.message
    assert "exit 3" in caught.value.detail and "the cause" in caught.value.detail


def test_the_end_of_a_long_complaint_is_kept():
    with pytest.raises(errors.StepFailed) as caught:
        command.run(_python("import sys; sys.stderr.write('x' * 100000 + 'the end'); sys.exit(1)"))
    assert caught.value.detail.endswith("the end")
    assert len(caught.value.detail) < 1000


def test_bytes_that_are_no_text_do_not_hide_the_failure():
    with pytest.raises(errors.StepFailed):
        command.run(_python("import os, sys; os.write(2, bytes([255, 254])); sys.exit(1)"))


def test_death_by_signal_is_a_failure():
    with pytest.raises(errors.StepFailed, match="failed") as caught:
        command.run(_python("import os; os.kill(os.getpid(), 9)"))
    assert "-9" in caught.value.detail


def test_a_missing_program_is_unavailable():
    with pytest.raises(errors.Unavailable, match="not installed"):
        command.run(["karbor-no-such-program"])


def test_a_file_that_cannot_be_executed_is_unavailable(tmp_path):
    (tmp_path / "plain").write_text("no program")
    with pytest.raises(errors.Unavailable, match="cannot be started"):
        command.run([str(tmp_path / "plain")])


def test_a_program_that_takes_too_long_is_ended(tmp_path):
    told = tmp_path / "pid"
    text = f"import os, pathlib, time; pathlib.Path({str(told)!r}).write_text(str(os.getpid())); time.sleep(600)"
    with pytest.raises(errors.Unavailable, match="in time"):
        command.run(_python(text), timeout=3)
    if told.exists():
        with pytest.raises(ProcessLookupError):
            os.kill(int(told.read_text()), 0)


def test_a_started_program_runs_beside_us_until_the_caller_ends_it():
    process = command.start(["sleep", "600"], stdin=subprocess.DEVNULL)
    try:
        assert process.poll() is None
    finally:
        process.terminate()
    assert process.wait(timeout=30) < 0


def test_a_watched_program_is_looked_after_until_it_ends():
    looks = []
    command.run_watched(["sleep", "0.2"], check=lambda: looks.append(1), between=0.05)
    assert looks


def test_a_watched_program_ends_when_whoever_watches_may_not_go_on(tmp_path):
    mark = tmp_path / "pid"

    def check():
        if mark.exists():
            raise errors.Cancelled

    script = f"import os, pathlib, time; pathlib.Path({str(mark)!r}).write_text(str(os.getpid())); time.sleep(600)"
    with pytest.raises(errors.Cancelled):
        command.run_watched(_python(script), check=check, between=0.05)


def test_what_a_watched_program_fails_with_is_told():
    with pytest.raises(errors.StepFailed) as caught:
        command.run_watched(_python("import sys; sys.exit('the cause')"), check=lambda: None)
    assert "the cause" in caught.value.detail
    with pytest.raises(errors.Unavailable):
        command.run_watched(["/nonexistent/program"], check=lambda: None)
