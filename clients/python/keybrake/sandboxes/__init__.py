# SPDX-License-Identifier: Apache-2.0
"""Sandboxes elsewhere: a module a platform, each with spawn() taking the platform's own objects."""
