# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# beanstalkd: 500 jobs put and taken again.
commands="beanstalkd /usr/bin/python3"
job() {
    serve beanstalkd beanstalkd -l 0.0.0.0 -p "$PORT"
    wait_port
    client /usr/bin/python3 - "$HOST" "$PORT" <<'PY'
import socket, sys
f = socket.create_connection((sys.argv[1], int(sys.argv[2]))).makefile("rwb")
for i in range(500):
    body = b"%d " % i * 1000
    f.write(b"put 0 0 60 %d\r\n%s\r\n" % (len(body), body))
    f.flush()
    assert f.readline().startswith(b"INSERTED")
for i in range(500):
    f.write(b"reserve\r\n")
    f.flush()
    word, number, size = f.readline().split()
    assert word == b"RESERVED" and f.read(int(size) + 2)[:-2] == b"%d " % i * 1000
PY
}
