# SPDX-License-Identifier: Apache-2.0
"""Doing it: providers, graphs, flows, jobs."""
