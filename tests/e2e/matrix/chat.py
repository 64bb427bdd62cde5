# SPDX-License-Identifier: Apache-2.0
"""irc|xmpp HOST PORT N: one who talks N times, one who hears it all, in order."""
import re, socket, sys

kind, host, port, n = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])


class Talker:
    def __init__(self):
        self.s = socket.create_connection((host, port), 30)
        self.got = b""

    def say(self, text):
        self.s.sendall(text.encode())

    def until(self, pattern):
        while not (m := re.search(pattern, self.got)):
            data = self.s.recv(65536)
            if not data:
                sys.exit(f"the end came instead of {pattern}: {self.got[-500:]}")
            self.got += data
        self.got = self.got[m.end():]
        return m


def irc(name):
    t = Talker()
    t.say(f"NICK {name}\r\nUSER {name} 0 * :x\r\n")
    t.until(rb" (376|422) ")
    t.say("JOIN #m\r\n")
    t.until(rb" 366 ")
    return t


def xmpp(_):
    t = Talker()
    stream = "<stream:stream to='m.test' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
    t.say(stream)
    t.until(rb"</stream:features>")
    t.say("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>")
    t.until(rb"<success")
    t.say(stream)
    t.until(rb"</stream:features>")
    t.say("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
    t.name = t.until(rb"<jid>([^<]*)</jid>").group(1).decode()
    t.say("<presence/>")
    return t


one, two = {"irc": irc, "xmpp": xmpp}[kind]("one"), {"irc": irc, "xmpp": xmpp}[kind]("two")
for i in range(n):
    text = f"message {i} " + "x" * (i % 300) + "."
    one.say(f"PRIVMSG #m :{text}\r\n" if kind == "irc" else f"<message to='{two.name}' type='chat'><body>{text}</body></message>")
    if i % 10 == 9 or i == n - 1:  # not faster than the server allows
        two.until(re.escape(text.encode()))
