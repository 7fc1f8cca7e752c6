# SPDX-License-Identifier: Apache-2.0
"""How does one process run many commands of the published clients, or calls of their library?

All of them with one login: ``openstack`` keeps the session of its first command in the class.

Run with the Python of their environment. Each line of standard input is a JSON object with ``program``, ``arguments``
and ``variables``; each line of output the answer with ``code``, ``out`` and ``err``.
"""

import contextlib
import io
import json
import os
import sys
import traceback


def karbor(arguments):
    from karborclient import shell

    shell.main(arguments)


def openstack(arguments):
    from openstackclient import shell

    return shell.main(arguments)


def library(arguments):
    """One call of the library as the dashboard makes it; prints what came, or the message of its exception."""
    from karborclient.common.apiclient import exceptions
    from karborclient.v1 import client

    given = json.loads(arguments[0])
    made = client.Client(**given["client"])
    manager, method = given["call"].split(".")
    try:
        found = getattr(getattr(made, manager), method)(*given["arguments"], **given["named"])
    except exceptions.ClientException as fault:
        print(json.dumps({"refused": str(fault)}))
        return
    if isinstance(found, list):
        found = [entry._info for entry in found]
    print(json.dumps({"found": getattr(found, "_info", found) if found is not None else None}))


PROGRAMS = {"karbor": karbor, "openstack": openstack, "library": library}


def run(main, arguments):
    """(exit code, output, errors)"""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(arguments) or 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(bool(end.code))
        except BaseException:  # the interpreter itself would print it and end with 1
            traceback.print_exc()
            code = 1
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())
    return code, *texts


def main():
    answers = sys.stdout
    names = dict(os.environ)
    for line in sys.stdin:
        asked = json.loads(line)
        os.environ.clear()
        os.environ.update({**names, **asked["variables"]})
        sys.argv = [asked["program"], *asked["arguments"]]
        code, out, err = run(
            {"karbor": karbor, "openstack": openstack, "library": library}[asked["program"]], asked["arguments"]
        )
        answers.write(json.dumps({"code": code, "out": out, "err": err}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
