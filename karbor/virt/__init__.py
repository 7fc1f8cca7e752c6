# SPDX-License-Identifier: Apache-2.0
"""Disks of KVM hosts: NBD, qemu-img, image chains."""
