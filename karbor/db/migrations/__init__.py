# SPDX-License-Identifier: Apache-2.0
"""The way from each released schema to the next."""
