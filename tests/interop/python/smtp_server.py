"""A mail server with TLS, for what Postfix cannot be told to do: take tokens, spoil handshakes, ask for sign-in in clear.

Usage: smtp_server.py SETTINGS, a JSON object with `address`, `port`, `record`, and as needed:
`certificate`, `key`  PEM files
`starttls`            "offer", "broken" (220, then no TLS), "refuse" (offered, then 454), "inject" (220 and more before TLS); else not offered
`auth`                mechanisms offered under TLS
`auth_in_clear`       mechanisms offered without
`dsn`                 DSN is offered, as OpenSMTPD 6.8 understands it: NOTIFY of one recipient counts for the next ones of the transaction, too
`tokens`              a file with the tokens that are taken, one a line
`replies`             by verb, a reply in place of the usual one; "CONNECT" stands for the greeting, an empty text hangs up
Writes each command, and each message, to `record` as a line of JSON.
"""

import base64
import json
import socketserver
import ssl
import sys
import threading

SETTINGS = json.loads(sys.argv[1])
LOCK = threading.Lock()


def write(**what):
    with LOCK, open(SETTINGS["record"], "a", encoding="utf-8") as record:
        record.write(json.dumps(what) + "\n")


def tokens():
    with open(SETTINGS["tokens"], encoding="utf-8") as file:
        return file.read().split()


class Session(socketserver.StreamRequestHandler):
    tls = None

    def handle(self):
        greeting = SETTINGS.get("replies", {}).get("CONNECT", "220 server.test ESMTP")
        if not greeting:
            return
        self.say(greeting)
        if not greeting.startswith("220"):
            return
        while line := self.line():
            verb = line.split(":")[0].split(" ")[0].upper()
            write(tls=self.tls, command=line)
            if not self.answer(verb, line):
                return

    def answer(self, verb, line):
        """Whether the session goes on."""
        reply = SETTINGS.get("replies", {}).get(verb)
        if reply is not None:
            if reply:
                self.say(reply)
            return bool(reply)
        act = getattr(self, "on_" + verb.lower(), None)
        if act:
            return act(line) is not False
        self.say("500 5.5.2 what?")
        return True

    def say(self, text):
        self.wfile.write((text + "\r\n").encode())
        self.wfile.flush()

    def line(self):
        return self.rfile.readline().decode("utf-8", "replace").rstrip("\r\n")

    def on_ehlo(self, line):
        extensions = ["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"]
        if not self.tls and SETTINGS.get("starttls"):
            extensions.append("STARTTLS")
        if SETTINGS.get("dsn"):
            extensions.append("DSN")
        mechanisms = SETTINGS.get("auth" if self.tls else "auth_in_clear")
        if mechanisms:
            extensions.append("AUTH " + " ".join(mechanisms))
        lines = ["server.test"] + extensions
        self.say("\r\n".join("250-" + text for text in lines[:-1]) + "\r\n250 " + lines[-1])

    def on_helo(self, line):
        self.say("250 server.test")

    def on_starttls(self, line):
        conduct = SETTINGS.get("starttls")
        if conduct == "refuse":
            return self.say("454 4.7.0 no TLS today")
        if conduct == "inject":
            self.say("220 go on\r\n250-server.test\r\n250 AUTH PLAIN")
        else:
            self.say("220 go on")
        if conduct == "broken":
            # Not before the client has begun: text in its place would be another kind of trouble.
            self.connection.recv(1)
            self.say("this is no handshake")
            return False
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(SETTINGS["certificate"], SETTINGS["key"])
        try:
            self.connection = context.wrap_socket(self.connection, server_side=True)
        except (ssl.SSLError, OSError) as why:
            write(tls=None, handshake=str(why))
            return False
        self.tls = self.connection.version()
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb")
        return True

    def on_auth(self, line):
        words = line.split(" ")
        initial = words[2] if len(words) > 2 else None
        if words[1].upper() != "XOAUTH2":
            return self.say("235 2.7.0 in")
        if initial is None:
            self.say("334 ")
            initial = self.line()
        fields = base64.b64decode(initial).decode().split("\x01")
        token = fields[1].removeprefix("auth=Bearer ")
        write(tls=self.tls, user=fields[0].removeprefix("user="), token=token)
        if token in tokens():
            return self.say("235 2.7.0 in")
        self.say("334 " + base64.b64encode(b'{"status":"401","schemes":"bearer"}').decode())
        self.line()
        return self.say("535 5.7.8 token not taken")

    def on_mail(self, line):
        self.notify = set()
        self.say("250 2.1.0 ok")

    def on_rcpt(self, line):
        if SETTINGS.get("dsn") and "NOTIFY=" in line:
            self.notify.update(line.split("NOTIFY=")[1].split(" ")[0].split(","))
            if "NEVER" in self.notify and len(self.notify) > 1:
                return self.say("553 NOTIFY option NEVER cannot be combined with other options")
        self.say("250 2.1.5 ok")

    def on_data(self, line):
        self.say("354 go on")
        lines = []
        while (text := self.line()) != ".":
            lines.append(text)
        write(tls=self.tls, message="\n".join(lines))
        self.say("250 2.0.0 taken")

    def on_rset(self, line):
        self.say("250 2.0.0 ok")

    def on_noop(self, line):
        self.say("250 2.0.0 ok")

    def on_quit(self, line):
        self.say("221 2.0.0 bye")
        return False


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request, client_address):
        # A client that goes away in the middle is part of the tests.
        write(tls=None, broken=str(sys.exc_info()[1]))


Server((SETTINGS["address"], SETTINGS["port"]), Session).serve_forever()
