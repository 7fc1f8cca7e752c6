# SPDX-License-Identifier: Apache-2.0
# Short names for the commands a contributor types.
.PHONY: check quick docs quickstart

check:  ## what the gate runs
	tools/run_tests.sh

quick:  ## the same without servers and guests
	tools/run_tests.sh --quick

docs:  ## HTML below doc/build/html
	tox -e docs

quickstart:  ## protect and restore a guest
	tools/quickstart.sh
