# SPDX-License-Identifier: Apache-2.0
"""Options set before a socket is known to be xtcp's, and such as nobody knows.
    options.py ADDRESS PORT INTERFACE   of a listener; xtcp's
"""
import errno
import socket
import sys

SO_BUSY_POLL, SO_ZEROCOPY, SO_BINDTOIFINDEX, IP_BIND_ADDRESS_NO_PORT = 46, 60, 62, 24
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


def on_device(name, number=None):
    """A socket that SO_BINDTODEVICE, or SO_BINDTOIFINDEX, has given to an interface."""
    s = socket.socket()
    if number is None:
        s.setsockopt(SOL, socket.SO_BINDTODEVICE, name.encode() + b"\0")
    else:
        s.setsockopt(SOL, SO_BINDTOIFINDEX, number)
    assert s.getsockopt(SOL, socket.SO_BINDTODEVICE, 16) == name.encode() + b"\0"
    return s


ours, index = sys.argv[3], socket.if_nametoindex(sys.argv[3])
assert errno_of(lambda: on_device("nobody0")) == "ENODEV"
for number in None, index:
    s = on_device(ours, number)
    s.connect((sys.argv[1], int(sys.argv[2])))
    assert s.getsockopt(SOL, socket.SO_BINDTODEVICE, 16) == ours.encode() + b"\0"
    assert s.getsockopt(SOL, SO_BINDTOIFINDEX) == index
    assert errno_of(lambda: s.setsockopt(SOL, socket.SO_BINDTODEVICE, b"nobody0\0")) == "ENODEV"
    assert errno_of(lambda: s.setsockopt(SOL, socket.SO_BINDTODEVICE, b"lo\0")) == "ENOPROTOOPT"
    print("on", ours, s.getsockname()[0])
    s.setsockopt(SOL, socket.SO_BINDTODEVICE, b"")
    assert s.getsockopt(SOL, socket.SO_BINDTODEVICE, 16) == b""
for number in None, socket.if_nametoindex("lo"):
    s = on_device("lo", number)
    s.bind(("0.0.0.0", 0))
    s.listen()
    socket.create_connection(("127.0.0.1", s.getsockname()[1])).close()
    assert s.getsockopt(SOL, socket.SO_BINDTODEVICE, 16) == b"lo\0"
    away = on_device("lo", number)
    away.setblocking(False)
    assert away.connect_ex((sys.argv[1], int(sys.argv[2]))) != 0
print("done")
