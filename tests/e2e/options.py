# SPDX-License-Identifier: Apache-2.0
"""Options set before a socket is known to be xtcp's, and such as nobody knows.
    options.py ADDRESS PORT     of a listener
"""
import errno
import socket
import sys

SO_BUSY_POLL, SO_ZEROCOPY, IP_BIND_ADDRESS_NO_PORT = 46, 60, 24
SOL, IP, TCP = socket.SOL_SOCKET, socket.IPPROTO_IP, socket.IPPROTO_TCP


def errno_of(call):
    try:
        call()
    except OSError as e:
        return errno.errorcode[e.errno]
    return "ok"


before = [(SOL, socket.SO_PRIORITY, 5), (SOL, socket.SO_MARK, 7), (SOL, SO_BUSY_POLL, 50), (IP, IP_BIND_ADDRESS_NO_PORT, 1),
          (SOL, socket.SO_OOBINLINE, 1), (IP, socket.IP_TTL, 33), (SOL, SO_ZEROCOPY, 1)]
s = socket.socket()
for level, name, value in before:
    s.setsockopt(level, name, value)
s.connect((sys.argv[1], int(sys.argv[2])))
for level, name, value in before:
    got = s.getsockopt(level, name)
    assert got == value, f"{level}/{name}: {got} is not {value}"
for _ in range(3):
    print("unknown:", errno_of(lambda: s.setsockopt(TCP, 9999, 1)), errno_of(lambda: s.getsockopt(TCP, 9998)))
cookies = [s.getsockopt(SOL, 57, 8) for s in (s, s, socket.create_connection((sys.argv[1], int(sys.argv[2]))))]
assert cookies[0] == cookies[1] != cookies[2], cookies
print("done")
