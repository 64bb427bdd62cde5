#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Servers that take their connections in different ways, and a client that compares every byte.
   spread.py serve WAY PORT READY        READY is made when it listens
   spread.py ask ADDRESS PORT TIMES THREADS [resets]       `resets`: how many may be refused or reset, and are asked again
"""
import os
import select
import signal
import socket
import sys
import threading
import time

SIZE = 30000


def answer(conn):
    """All that comes, back, once the peer has ended."""
    conn.setblocking(True)
    with conn:
        data = b''
        while piece := conn.recv(65536):
            data += piece
        conn.sendall(data)


def answer_by_thread(conn):
    threading.Thread(target=answer, args=(conn,), daemon=True).start()


def answer_by_fork(conn):
    if os.fork() == 0:
        answer(conn)
        os._exit(0)
    conn.close()


def serve_all(listener, how=answer_by_thread):
    while True:
        how(listener.accept()[0])


def serve_prefork(listener):
    for _ in range(3):
        if os.fork() == 0:
            serve_all(listener, answer)
    signal.pause()


def serve_select(listener):
    while True:
        select.select([listener], [], [])
        answer_by_thread(listener.accept()[0])


def drain(listener, most=1 << 30):
    for _ in range(most):
        try:
            answer_by_thread(listener.accept()[0])
        except BlockingIOError:
            return


def serve_epoll(listener, flags=select.EPOLLET):
    listener.setblocking(False)
    ep = select.epoll()
    ep.register(listener, select.EPOLLIN | flags)
    while True:
        for _ in ep.poll():
            drain(listener, 1 << 30 if flags & select.EPOLLET else 1)


def serve_exclusive(listener):
    for _ in range(2):
        if os.fork() == 0:
            serve_epoll(listener, select.EPOLLEXCLUSIVE)
    serve_epoll(listener, select.EPOLLEXCLUSIVE)


def serve_shared_set(listener):
    """One epoll set of three processes."""
    listener.setblocking(False)
    ep = select.epoll()
    ep.register(listener, select.EPOLLIN)
    for _ in range(2):
        if os.fork() == 0:
            break
    while True:
        for _ in ep.poll():
            drain(listener, 1)


def serve_late(listener):
    """In a set before it listens."""
    listener.close()
    listener = make(PORT, False)
    listener.setblocking(False)
    ep = select.epoll()
    ep.register(listener, select.EPOLLIN)
    listener.listen(512)
    while True:
        for _ in ep.poll():
            drain(listener, 1)


def serve_again(listener):
    """Closes and listens anew, again and again. What waits in the queue then is lost, as on Linux."""
    while True:
        for _ in range(50):
            answer_by_thread(listener.accept()[0])
        listener.close()
        listener = make(PORT)


def execute(listener, way):
    os.set_inheritable(listener.fileno(), True)
    os.execv(sys.executable, [sys.executable, sys.argv[0], 'serve', way, str(listener.fileno()), sys.argv[4]])


def serve_activate(listener):
    """Leaves all to a program that it executes when the first connection is there."""
    select.select([listener], [], [])
    execute(listener, 'inherited')


def serve_execute(listener):
    for _ in range(50):
        answer(listener.accept()[0])
    execute(listener, 'inherited')


def serve_beside(listener):
    """Another program accepts, too; later it alone does, while this one keeps the listener."""
    for _ in range(50):
        answer_by_thread(listener.accept()[0])
    if os.fork() == 0:
        execute(listener, 'inherited')
    signal.pause()


WAYS = {
    'threads': serve_all, 'fork': lambda l: serve_all(l, answer_by_fork), 'prefork': serve_prefork, 'select': serve_select,
    'epoll': serve_epoll, 'exclusive': serve_exclusive, 'shared': serve_shared_set, 'late': serve_late, 'again': serve_again,
    'activate': serve_activate, 'execute': serve_execute, 'beside': serve_beside,
}


def make(port, listening=True):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(('0.0.0.0', port))
    if listening:
        s.listen(512)
    return s


def ask_once(address, data):
    with socket.create_connection(address, timeout=30) as s:
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
        except OSError as e:
            raise ConnectionError from e
        back = b''
        while piece := s.recv(65536):
            back += piece
    if back != data:
        sys.exit(f'{len(back)} other bytes than the {len(data)} sent')


def until_open(address):
    """Waits until somebody listens there, for a while."""
    for _ in range(200):
        try:
            socket.create_connection(address, timeout=30).close()
            return
        except ConnectionError:
            time.sleep(0.05)


def ask(address, times, threads, resets):
    failed = []

    def work():
        done = 0
        while done < times // threads and len(failed) <= resets:
            try:
                ask_once(address, os.urandom(SIZE))
                done += 1
            except ConnectionError as e:
                failed.append(repr(e))
                until_open(address)
            except BaseException as e:
                print(repr(e))
                os._exit(1)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    if len(failed) > resets:
        sys.exit(f'{len(failed)} of {times} failed: {failed[0]}')
    print(f'{times} asked, {len(failed)} failed')


signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if sys.argv[1] == 'serve':  # with all that was forked
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
if sys.argv[1] == 'ask':
    ask((sys.argv[2], int(sys.argv[3])), int(sys.argv[4]), int(sys.argv[5]), int((sys.argv + ['0'])[6]))
elif sys.argv[2] == 'inherited':
    serve_all(socket.socket(fileno=int(sys.argv[3])))
else:
    PORT = int(sys.argv[3])
    SOCKET = make(PORT)
    open(sys.argv[4], 'w').close()
    WAYS[sys.argv[2]](SOCKET)
