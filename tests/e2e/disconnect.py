# SPDX-License-Identifier: Apache-2.0
"""connect() to no address family ends an attempt, and the socket can connect again: prints what each step gives.
    disconnect.py NOBODY ADDRESS PORT   an address that does not answer, and a listener
"""
import ctypes
import select
import socket
import sys

libc = ctypes.CDLL(None, use_errno=True)


def mask(s):
    p = select.poll()
    p.register(s, select.POLLIN | select.POLLOUT | select.POLLRDHUP)
    return hex(dict(p.poll(0)).get(s.fileno(), 0))


s = socket.socket()
s.setblocking(False)
print("connect", s.connect_ex((sys.argv[1], 9)))
print("on its way", mask(s))
print("disconnect", libc.connect(s.fileno(), bytes(16), 16), mask(s))
print("again", s.connect_ex((sys.argv[2], int(sys.argv[3]))))
p = select.poll()
p.register(s, select.POLLOUT)
p.poll(60000)
print("connected", s.getpeername()[1] == int(sys.argv[3]))
s.setblocking(True)
s.sendall(b"GET / HTTP/1.0\r\n\r\n")
print(s.recv(5))
