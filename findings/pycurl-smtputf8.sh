#!/usr/bin/env bash
# libcurl 8.23.0 as the wheel of pycurl 7.49.0 (PyPI) brings it, sending to an address whose domain has an umlaut.
#
# Guess: to a server that does not offer SMTPUTF8 the domain goes as its A-label, or the transfer fails before RCPT
# (RFC 6531 section 3.2: such an address must not be sent there).
# Seen: the wheel is built without IDN, and the address goes out in raw UTF-8 without SMTPUTF8 and without an error. Where the
# server offers SMTPUTF8, it is asked for. Debian 12's curl 7.88.1, built with IDN, sends the A-label but asks for SMTPUTF8 all
# the same. So neither octets above 127 nor SMTPUTF8 say what the next hop needs: the address itself has to be looked at.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check pycurl==7.49.0

"$work/venv/bin/python" - >"$work/seen" <<'PYTHON'
import io
import socket
import threading

import pycurl


def session(server, offers, lines):
    connection, _ = server.accept()
    with connection, connection.makefile("rb") as reader:
        connection.sendall(b"220 mx.example\r\n")
        in_data = False
        for line in reader:
            lines.append(line)
            if in_data:
                if line == b".\r\n":
                    in_data = False
                    connection.sendall(b"250 ok\r\n")
            elif line.startswith(b"EHLO"):
                connection.sendall(b"250-mx.example\r\n250 " + offers + b"\r\n")
            elif line.startswith(b"DATA"):
                in_data = True
                connection.sendall(b"354 go on\r\n")
            else:
                connection.sendall(b"250 ok\r\n")


print(pycurl.version.split()[1])
for offers in (b"8BITMIME", b"SMTPUTF8"):
    lines = []
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(10)
    thread = threading.Thread(target=session, args=(server, offers, lines))
    thread.start()
    curl = pycurl.Curl()
    curl.setopt(curl.URL, f"smtp://127.0.0.1:{server.getsockname()[1]}/client.example")
    curl.setopt(curl.TIMEOUT, 10)
    curl.setopt(curl.MAIL_FROM, "me@s.example")
    curl.setopt(curl.MAIL_RCPT, ["ann@m\u00fcller.example".encode()])
    curl.setopt(curl.UPLOAD, 1)
    curl.setopt(curl.READDATA, io.BytesIO(b"Subject: x\r\n\r\nhi\r\n"))
    curl.perform()
    curl.close()
    thread.join()
    print(offers.decode(), lines[1:3])
PYTHON

cat "$work/seen"
diff "$work/seen" - <<'SEEN'
libcurl/8.23.0
8BITMIME [b'MAIL FROM:<me@s.example>\r\n', b'RCPT TO:<ann@m\xc3\xbcller.example>\r\n']
SMTPUTF8 [b'MAIL FROM:<me@s.example> SMTPUTF8\r\n', b'RCPT TO:<ann@m\xc3\xbcller.example>\r\n']
SEEN
