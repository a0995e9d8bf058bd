"""A milter that makes every call there is. What it is told goes to a file, one JSON object a line.

    all_calls.py SOCKET FILE [quiet] [space]

It does what the field X-Case of a message says, or the local part of a recipient. With `quiet` it
gives no answer where the protocol allows that, with `space` it takes and gives values with the blank
behind the colon.
"""

import json
import os
import sys

import Milter

SOCKET, FILE = sys.argv[1:3]
QUIET, SPACE = "quiet" in sys.argv, "space" in sys.argv
MACROS = "j _ v i {daemon_name} {client_addr} {client_name} {client_port} {tls_version} {cipher} " \
    "{auth_type} {auth_authen} {mail_addr} {rcpt_addr} {own}".split()


def tell(**event):
    with open(FILE, "a") as file:
        file.write(json.dumps(event) + "\n")


def maybe_quiet(callback):
    return Milter.noreply(callback) if QUIET else callback


class AllCalls(Milter.Base):
    def __init__(self):
        self.id, self.case, self.seen = Milter.uniqueID(), "", 0

    def negotiate(self, opts):
        tell(step="negotiate", opts=opts)
        answer = super().negotiate(opts)
        if SPACE:
            self._ctx.setsymlist(Milter.M_ENVRCPT, "{own} {rcpt_addr}")
        return answer

    def tell(self, step, *told):
        macros = {name: self.getsymval(name) for name in MACROS}
        macros = {name: value for name, value in macros.items() if value is not None}
        tell(step=step, told=told, macros=macros)

    @maybe_quiet
    def connect(self, name, family, address):
        self.tell("connect", name, address)
        return Milter.CONTINUE

    def hello(self, name):
        self.tell("hello", name)
        if name == "accept.example":
            return Milter.ACCEPT
        if name == "refuse.example":
            return Milter.REJECT
        return Milter.CONTINUE

    @maybe_quiet
    def envfrom(self, path, *parameters):
        self.tell("envfrom", path, *parameters)
        return Milter.CONTINUE

    def envrcpt(self, path, *parameters):
        self.tell("envrcpt", path, *parameters)
        who = path.strip("<>").split("@")[0]
        if who == "refused":
            self.setreply("550", "5.1.1", "95%% used", "by others")
            return Milter.REJECT
        if who == "later":
            return Milter.TEMPFAIL
        if who == "thrown":
            return Milter.DISCARD
        return Milter.CONTINUE

    @maybe_quiet
    def data(self):
        self.tell("data")
        return Milter.CONTINUE

    @maybe_quiet
    def header(self, name, value):
        tell(step="header", told=[name, value])
        if name.lower() == "x-case":
            self.case = value.strip()
        return Milter.CONTINUE

    def eoh(self):
        self.tell("eoh")
        if self.case == "accept at the header":
            return Milter.ACCEPT
        return Milter.CONTINUE

    def body(self, piece):
        self.seen += len(piece)
        tell(step="body", told=[len(piece)])
        if self.case == "die":
            os._exit(1)
        return Milter.SKIP if self.case == "skip" else Milter.CONTINUE

    def eom(self):
        self.tell("eom", self.seen)
        if self.case == "refuse":
            self.setreply("554", "5.7.9", "not like this", "nor like that")
            return Milter.REJECT
        if self.case == "later":
            return Milter.TEMPFAIL
        if self.case == "discard":
            return Milter.DISCARD
        if self.case == "hold":
            self.quarantine("one reason")
            return Milter.ACCEPT
        if self.case == "all":
            self.all()
        return Milter.CONTINUE

    def all(self):
        blank = " " if SPACE else ""
        self.progress()
        self.addheader("X-Added", blank + "below")
        self.addheader("X-Folded", blank + "one;\n\ttwo;\n three")
        self.addheader("X-Top", blank + "above all", 0)
        self.addheader("X-Second", blank + "below our own trace", 2)
        self.addheader("X-Far", blank + "below", 999)
        self.chgheader("X-Twice", 2, blank + "changed")
        self.chgheader("X-Twice", 1, None)
        self.chgheader("X-Twice", 1, blank + "changed again")
        self.chgheader("X-Missing", 1, blank + "added")
        self.chgheader("X-Absent", 3, None)
        self.chgheader("Content-Type", 1, blank + "text/html")
        self.addrcpt("<added@other.example>")
        self.addrcpt("plain@other.example", "NOTIFY=NEVER")
        self.delrcpt("<second@mail.example>")
        self.chgfrom("<changed@other.example>", "RET=HDRS ENVID=own")
        self.replacebody("<p>one</p>\r\n")
        self.replacebody("<p>two</p>\n.\n")
        self.progress()

    def abort(self):
        tell(step="abort")
        return Milter.CONTINUE

    def close(self):
        tell(step="close")
        return Milter.CONTINUE


Milter.factory = Milter.header_leading_space(AllCalls) if SPACE else AllCalls
Milter.set_flags(
    Milter.ADDHDRS | Milter.CHGBODY | Milter.ADDRCPT | Milter.DELRCPT | Milter.CHGHDRS
    | Milter.QUARANTINE | Milter.CHGFROM | Milter.ADDRCPT_PAR | Milter.SETSYMLIST
)
Milter.runmilter("all-calls", SOCKET, 60)
