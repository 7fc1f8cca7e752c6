# SPDX-License-Identifier: Apache-2.0
"""Memory twins and conformance suites for plug-in authors and for our own tests."""
