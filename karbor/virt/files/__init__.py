# SPDX-License-Identifier: Apache-2.0
"""Which files are on a disk of a checkpoint, and what is in them? Read in a process that can do nothing else."""
