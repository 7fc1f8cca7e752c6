# SPDX-License-Identifier: Apache-2.0
"""Does Karbor bring a running guest back as it was? The story that ``tools/quickstart.sh`` tells."""
