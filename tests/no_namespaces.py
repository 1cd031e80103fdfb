# SPDX-License-Identifier: Apache-2.0
"""no_namespaces.py COMMAND...: runs it where no namespace can be made, as in a container with
Docker's own filter: clone3 is not there, clone and unshare with a namespace's flag are refused."""

import ctypes
import os
import struct
import sys

FLAGS = 0x7e020000 | 0x10000000  # NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
LOAD, EQUAL, ANY, RETURN = 0x20, 0x15, 0x45, 0x06
EPERM, ENOSYS, ALLOW = 0x00050001, 0x00050026, 0x7fff0000
program = [
    (LOAD, 0, 0, 0),  # the call's number
    (EQUAL, 5, 0, 435),  # clone3
    (EQUAL, 1, 0, 56),  # clone
    (EQUAL, 0, 2, 272),  # unshare
    (LOAD, 0, 0, 16),  # its flags
    (ANY, 2, 0, FLAGS),
    (RETURN, 0, 0, ALLOW),
    (RETURN, 0, 0, ENOSYS),
    (RETURN, 0, 0, EPERM),
]
code = b"".join(struct.pack("=HBBI", *one) for one in program)
held = ctypes.create_string_buffer(code, len(code))
filter_ = struct.pack("@HP", len(program), ctypes.addressof(held))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, ctypes.c_char_p(filter_), 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execv(sys.argv[1], sys.argv[1:])
