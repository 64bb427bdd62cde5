# SPDX-License-Identifier: Apache-2.0
# A file of 64-bit words that a test and the processes it disturbs share.
# usage, as a program: words.py FILE OFFSET VALUE
import struct, sys


class Words:
    def __init__(self, path):
        self.path = path

    def write(self, offset, value):
        with open(self.path, "r+b", buffering=0) as f:
            f.seek(offset)
            f.write(struct.pack("q", value))

    def read(self, offset):
        with open(self.path, "rb", buffering=0) as f:
            f.seek(offset)
            return struct.unpack("q", f.read(8))[0]

    def write_text(self, offset, text):
        with open(self.path, "r+b", buffering=0) as f:
            f.seek(offset)
            f.write(text.encode() + b"\0")

    def text(self, offset):
        with open(self.path, "rb") as f:
            f.seek(offset)
            return f.read(256).split(b"\0")[0].decode()


if __name__ == "__main__":
    Words(sys.argv[1]).write(int(sys.argv[2]), int(sys.argv[3]))
