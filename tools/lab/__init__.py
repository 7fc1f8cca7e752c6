# SPDX-License-Identifier: Apache-2.0
"""How do the quickstart and the system tests get a libvirt and a guest of their own, on any Debian 12?

``mkguest.sh`` makes a kernel and an initramfs, ``libvirtd`` a private libvirt, ``acceleration`` says whether KVM can
really be used, ``guest`` boots guests and talks to the agent inside. Nothing here touches a libvirt that was there.
"""
