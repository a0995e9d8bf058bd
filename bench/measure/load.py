"""The client and the next hop of a relay: smtp-source and smtp-sink for rates, and probes, one message at a time, for delays."""

import os
import re
import socket
import ssl
import subprocess
import threading
import time

from measure.machine import Failed, free_port, listens, wait_for

SINK_HOST = "127.77.0.10"
START_SECONDS_MAX = 30
LOAD_SECONDS_MAX = 300
# A calibration takes at least so long.
CALIBRATION_SECONDS = 0.4
MESSAGES_MIN, MESSAGES_MAX = 100, 200_000
REPLY_SECONDS_MAX = 60
ANY_CERTIFICATE = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
ANY_CERTIFICATE.check_hostname = False
ANY_CERTIFICATE.verify_mode = ssl.CERT_NONE


class Counting:
    """A next hop that prints what it has taken so far: `pattern` finds the numbers, whose sum counts."""

    pattern = None

    def __init__(self, address, command, errors=None):
        self.address = address
        self.taken = 0
        self.changed = threading.Condition()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
        threading.Thread(target=self.follow, daemon=True).start()
        wait_for(f"{command[0]} to listen", START_SECONDS_MAX, lambda: listens(self.address))

    def follow(self):
        rest = b""
        while chunk := os.read(self.process.stdout.fileno(), 65536):
            rest += chunk
            *_, last = None, *re.finditer(self.pattern, rest)
            rest = rest[-100:]
            if last:
                with self.changed:
                    self.taken = sum(int(number) for number in last.groups())
                    self.changed.notify_all()

    def wait_until(self, count):
        if not self.has(count, LOAD_SECONDS_MAX):
            raise Failed(f"only {self.taken} of {count} messages arrived within {LOAD_SECONDS_MAX} s")

    def has(self, count, seconds):
        """Whether it has so many within that time."""
        with self.changed:
            return self.changed.wait_for(lambda: self.taken >= count, seconds)

    def stop(self):
        self.process.kill()
        self.process.wait()


class Sink(Counting):
    """smtp-sink."""

    pattern = rb"mesg=(\d+) *\r"

    def __init__(self, address=None, delay_seconds=0, arguments=()):
        address = address or (SINK_HOST, free_port(SINK_HOST))
        delay = ["-w", str(delay_seconds)] if delay_seconds else []
        super().__init__(address, ["smtp-sink", "-u", "nobody", "-c", "-m", "1000", *delay, *arguments, "%s:%d" % address, "1000"])


class Shape:
    """What messages are like, and how they come."""

    def __init__(self, kept, octets=4096, sessions=50, domain="hosted.test"):
        self.kept, self.octets, self.sessions, self.domain = kept, octets, sessions, domain

    def send(self, address, messages):
        """Hands so many messages to the server, in parallel sessions; ends when all were taken."""
        sessions = min(self.sessions, messages)
        command = ["smtp-source", *(["-d"] if self.kept else []), "-s", str(sessions), "-m", str(messages), "-l", str(self.octets)]
        command += ["-f", "ann@client.test", "-t", f"bob@{self.domain}", "inet:%s:%d" % address]
        subprocess.run(command, check=True, timeout=LOAD_SECONDS_MAX)


def count_for(seconds, run):
    """How many messages take some `seconds`: `run` is tried with more and more of them."""
    count = MESSAGES_MIN // 2
    while True:
        begin = time.monotonic()
        run(count)
        took = time.monotonic() - begin
        if took >= min(CALIBRATION_SECONDS, seconds) or count >= MESSAGES_MAX:
            return max(MESSAGES_MIN // 2, min(int(count * seconds / took), MESSAGES_MAX))
        count *= 4


# ---- Probes ----------------------------------------------------------------------------------------------------------


class Arrivals:
    """A next hop that notes when each probe has come: at its last dot, before the reply to it."""

    def __init__(self):
        self.listener = socket.create_server((SINK_HOST, 0), backlog=1000)
        self.address = self.listener.getsockname()
        self.times = {}
        self.changed = threading.Condition()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, connection.makefile("rb") as lines:
            try:
                connection.sendall(b"220 hosted.test\r\n")
                self.converse(connection, lines)
            except OSError:
                # The relay is gone.
                pass

    def converse(self, connection, lines):
        replies = {b"EHLO": b"250-hosted.test\r\n250 PIPELINING\r\n", b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}
        while line := lines.readline():
            verb = line[:4].upper()
            connection.sendall(replies.get(verb, b"250 ok\r\n"))
            if verb == b"DATA":
                self.note(self.content(lines))
                connection.sendall(b"250 taken\r\n")
            elif verb == b"QUIT":
                return

    @staticmethod
    def content(lines):
        number = None
        while (line := lines.readline()) not in (b".\r\n", b""):
            if line.startswith(b"X-Probe: "):
                number = int(line[9:])
        return number

    def note(self, number):
        now = time.monotonic()
        with self.changed:
            self.times[number] = now
            self.changed.notify_all()

    def wait_for(self, number):
        with self.changed:
            if not self.changed.wait_for(lambda: number in self.times, REPLY_SECONDS_MAX):
                raise Failed(f"a message did not arrive within {REPLY_SECONDS_MAX} s")
            return self.times[number]

    def stop(self):
        # A thread that waits in accept() is not woken by close() alone.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def probe(address, arrivals, messages, seconds):
    """Seconds from connecting until the next hop has the message, of one message after the other, each on a connection of its own."""
    waits, end = [], time.monotonic() + seconds
    first = len(arrivals.times)
    for number in range(first, first + messages):
        begin = time.monotonic()
        if begin > end:
            break
        connection, lines = greeted(address)
        with connection, lines:
            for command, code in PROBE_COMMANDS:
                connection.sendall(command)
                expect(lines, code)
            connection.sendall(PROBE_CONTENT % number)
            waits.append(arrivals.wait_for(number) - begin)
            expect(lines, b"250")
            connection.sendall(b"QUIT\r\n")
            expect(lines, b"221")
    return waits


PROBE_COMMANDS = [(b"MAIL FROM:<ann@client.test>\r\n", b"250"), (b"RCPT TO:<bob@hosted.test>\r\n", b"250"), (b"DATA\r\n", b"354")]
PROBE_CONTENT = b"From: ann@client.test\r\nX-Probe: %d\r\nSubject: probe\r\n\r\n" + b"It is only a short message.\r\n" * 140 + b".\r\n"


def greeted(address, tls=False):
    """A connection that has said EHLO, encrypted if asked to, and what comes over it."""
    connection = socket.create_connection(address, timeout=REPLY_SECONDS_MAX, source_address=("127.0.0.1", 0))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    lines = connection.makefile("rb")
    expect(lines, b"220")
    connection.sendall(b"EHLO client.test\r\n")
    expect(lines, b"250")
    if not tls:
        return connection, lines
    connection.sendall(b"STARTTLS\r\n")
    expect(lines, b"220")
    lines.close()
    connection = ANY_CERTIFICATE.wrap_socket(connection)
    lines = connection.makefile("rb")
    connection.sendall(b"EHLO client.test\r\n")
    expect(lines, b"250")
    return connection, lines


def expect(lines, code):
    while True:
        line = lines.readline()
        if not line.startswith(code):
            raise Failed(f"expected {code!r}, got {line!r}")
        if line[3:4] == b" ":
            return
