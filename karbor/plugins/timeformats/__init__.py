# SPDX-License-Identifier: Apache-2.0
"""Notations in which times are written."""
