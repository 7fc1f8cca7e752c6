# SPDX-License-Identifier: Apache-2.0
"""Calls between our processes, each declared once."""
