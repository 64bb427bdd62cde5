#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# A keeper as systemd is one: speaks the notify protocol with a command (NOTIFY_SOCKET, FDSTORE, WATCHDOG) and starts it again, with
# what it has stored (LISTEN_FDS), when it dies. SIGTERM ends it, SIGUSR1 hangs the command's second thread.
# usage: notify_keeper.py SOCKET WATCHDOG-SECONDS -- CMD...; prints a line for each thing that happens.
import array, ctypes, os, select, signal, socket, sys, time

path, patience, cmd = sys.argv[1], float(sys.argv[2]), sys.argv[4:]
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.bind(path)
os.chmod(path, 0o666)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
libc = ctypes.CDLL(None, use_errno=True)
store = []  # (name, fd)
events = []
wake_r, wake_w = os.pipe()
os.set_blocking(wake_w, False)
for s in (signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD):
    signal.signal(s, lambda n, f: events.append(n))
signal.set_wakeup_fd(wake_w)


def start():
    pid = os.fork()
    if pid:
        print("start", pid, "with", len(store), flush=True)
        return pid
    high = [os.dup(os.dup2(fd, 1000 + i)) for i, (_, fd) in enumerate(store)]
    for i in range(len(store)):
        os.dup2(1000 + i, 3 + i, inheritable=True)
    for fd in high + [1000 + i for i in range(len(store))]:
        if fd >= 3 + len(store):
            os.close(fd)
    env = dict(os.environ, NOTIFY_SOCKET=path, WATCHDOG_USEC=str(int(patience * 1e6)), WATCHDOG_PID=str(os.getpid()))
    if store:
        env.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(store)), LISTEN_FDNAMES=":".join(n for n, _ in store))
    os.execvpe(cmd[0], cmd, env)


def same_file(a, b):
    kcmp = {"x86_64": 312, "aarch64": 272}[os.uname().machine]
    return libc.syscall(kcmp, os.getpid(), os.getpid(), 0, a, b) == 0  # KCMP_FILE


def hang(pid):
    for tid in map(int, os.listdir(f"/proc/{pid}/task")):
        if tid != pid and open(f"/proc/{pid}/task/{tid}/comm").read().strip() == "xtcpd":
            for request in (0x4206, 0x4207):  # PTRACE_SEIZE, PTRACE_INTERRUPT
                if libc.ptrace(request, tid, None, None) != 0:
                    sys.exit("ptrace: " + os.strerror(ctypes.get_errno()))
            print("hung", tid, flush=True)
            return tid


def take():
    global store, pinged
    data, anc, _, _ = sock.recvmsg(4096, 4096)
    fds = array.array("i")
    sender = 0
    for level, kind, value in anc:
        if kind == socket.SCM_RIGHTS:
            fds.frombytes(value[: len(value) - len(value) % fds.itemsize])
        elif kind == 2:  # SCM_CREDENTIALS
            sender = array.array("i", value)[0]
    says = dict(line.split("=", 1) for line in data.decode().splitlines())
    if sender != pid:
        fds, says = [os.close(fd) for fd in fds] and [], {}
    if says.get("FDSTORE") == "1":
        assert says.get("FDPOLL") == "0" and fds, says
        for fd in fds:  # each open file once, as systemd does it, whatever its name
            if any(same_file(fd, kept) for _, kept in store):
                os.close(fd)
            else:
                store.append((says["FDNAME"], fd))
    if says.get("FDSTOREREMOVE") == "1":
        for name, fd in store:
            if name == says["FDNAME"]:
                os.close(fd)
        store = [(n, fd) for n, fd in store if n != says["FDNAME"]]
    if says.get("BARRIER") == "1":
        for fd in fds:
            os.close(fd)
    if "1" in (says.get("WATCHDOG"), says.get("READY")):
        pinged = time.monotonic()
    for key in ("READY", "STOPPING"):
        if says.get(key) == "1":
            print(key.lower(), flush=True)


pid, stopping, pinged, hung = start(), False, None, None
while True:
    ready = select.select([sock, wake_r], [], [], 0.2)[0]
    if wake_r in ready:
        os.read(wake_r, 100)
    if sock in ready:
        take()
        continue
    for n in events[:]:
        events.remove(n)
        if n == signal.SIGTERM:
            stopping = True
            os.kill(pid, signal.SIGTERM)
        elif n == signal.SIGUSR1:
            hung = hang(pid)
    if pinged and time.monotonic() - pinged > patience:
        print("watchdog", flush=True)
        os.kill(pid, signal.SIGKILL)
        if hung:  # the tracer has to bury it first
            os.waitpid(hung, 0x40000000)  # __WALL
        pinged = hung = None
    done, status = os.waitpid(pid, os.WNOHANG)
    while done and select.select([sock], [], [], 0)[0]:
        take()  # its last words
    if done and stopping:
        print("stopped", status, flush=True)
        os.unlink(path)
        sys.exit(status != 0)
    if done:
        pid, pinged = start(), None
