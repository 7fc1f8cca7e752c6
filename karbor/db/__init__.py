# SPDX-License-Identifier: Apache-2.0
"""Rows: one repository for each aggregate, returning model values."""
