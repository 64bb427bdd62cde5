# SPDX-License-Identifier: Apache-2.0
"""Both ends of a transfer over a source route. Usage:
  source_route.py server ADDR PORT            echoes all of one connection, then prints the IP options it has as hexadecimal
  source_route.py client ADDR PORT VIA        connects by way of VIA ("-": the direct way), sends SIZE bytes and checks what comes back
"""
import hashlib
import socket
import sys
import threading

SIZE = 400000
IP_OPTIONS = socket.IP_OPTIONS


def server(addr, port):
    with socket.create_server((addr, int(port))) as listener:
        print("ready", flush=True)
        conn, _ = listener.accept()
    while data := conn.recv(65536):
        conn.sendall(data)
    print("options " + conn.getsockopt(socket.IPPROTO_IP, IP_OPTIONS, 40).hex(), flush=True)
    conn.close()


def client(addr, port, via):
    s = socket.socket()
    if via != "-":
        route = bytes([1, 131, 7, 4]) + socket.inet_aton(via)
        s.setsockopt(socket.IPPROTO_IP, IP_OPTIONS, route)
        assert s.getsockopt(socket.IPPROTO_IP, IP_OPTIONS, 40) == route
    s.connect((addr, int(port)))
    text = hashlib.shake_128(b"source route").digest(SIZE)
    sender = threading.Thread(target=lambda: (s.sendall(text), s.shutdown(socket.SHUT_WR)))
    sender.start()
    got = b""
    while data := s.recv(65536):
        got += data
    sender.join()
    assert got == text, "%d bytes came back, or others" % len(got)
    print("echoed")


{"server": server, "client": client}[sys.argv[1]](*sys.argv[2:])
