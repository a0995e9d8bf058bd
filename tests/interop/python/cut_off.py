"""A client that ends its TLS in the middle of a message and goes on in clear, all in one write.

Usage: cut_off.py HOST PORT BEFORE UNDER BEHIND: the commands BEFORE are sent under TLS, one at a time, and each reply is read; then UNDER,
the end of TLS (close_notify), and BEHIND in clear. In the three, a line end is written \\n. Prints the replies.
"""

import socket
import ssl
import sys

HOST, PORT = sys.argv[1], int(sys.argv[2])
BEFORE, UNDER, BEHIND = (text.encode().replace(b"\\n", b"\r\n") for text in sys.argv[3:6])

server = socket.create_connection((HOST, PORT), timeout=30)


def line_in_clear():
    line = b""
    while not line.endswith(b"\n"):
        line += server.recv(1)
    return line


def ask_in_clear(command):
    server.sendall(command)
    while line_in_clear()[3:4] == b"-":
        pass


line_in_clear()
ask_in_clear(b"EHLO client.test\r\n")
ask_in_clear(b"STARTTLS\r\n")
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
arrived, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = context.wrap_bio(arrived, leaving)


def until_done(step):
    while True:
        try:
            result = step()
            server.sendall(leaving.read())
            return result
        except ssl.SSLWantReadError:
            server.sendall(leaving.read())
            octets = server.recv(65536)
            if not octets:
                sys.exit("the relay hung up")
            arrived.write(octets)


until_done(tls.do_handshake)
for command in [b"EHLO client.test", *BEFORE.split(b"\r\n")]:
    tls.write(command + b"\r\n")
    reply = until_done(lambda: tls.read(65536))
    print(reply.decode().splitlines()[-1])
tls.write(UNDER)
try:
    tls.unwrap()
except ssl.SSLWantReadError:
    pass
server.sendall(leaving.read() + BEHIND)
server.shutdown(socket.SHUT_WR)
while server.recv(65536):
    pass
