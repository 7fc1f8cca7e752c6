# SPDX-License-Identifier: Apache-2.0
"""Bytes in a bank: chunks, packs, index, recipes, sealed records."""
