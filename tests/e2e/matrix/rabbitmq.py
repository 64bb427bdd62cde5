# SPDX-License-Identifier: Apache-2.0
"""HOST PORT FILE N: sends the file and N numbers to a queue; takes them from it on another connection, in order and whole."""
import sys
import pika

host, port, path, n = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
with open(path, "rb") as f:
    large = f.read()


def channel():
    return pika.BlockingConnection(pika.ConnectionParameters(host, port, heartbeat=0)).channel()


out, back = channel(), channel()
out.queue_declare("q")
out.basic_publish("", "q", large)
for i in range(n):
    out.basic_publish("", "q", str(i).encode())
bodies = []
for method, _, body in back.consume("q", inactivity_timeout=30):
    if method is None:
        break
    back.basic_ack(method.delivery_tag)
    bodies.append(body)
    if len(bodies) == n + 1:
        break
back.connection.close()
out.connection.close()
sys.exit(None if bodies == [large] + [str(i).encode() for i in range(n)] else f"{len(bodies)} messages, or not the ones that were sent")
