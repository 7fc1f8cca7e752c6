# SPDX-License-Identifier: Apache-2.0
"""How it is done for one technology; found by entry point, imported by nobody."""
