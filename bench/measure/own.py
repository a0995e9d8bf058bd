"""Gatepost's own client and next hop (`gatepost bench`), for what smtp-source and smtp-sink cannot do: TLS, and replies by the recipient."""

import subprocess

from measure.load import LOAD_SECONDS_MAX, SINK_HOST, Counting, Shape
from measure.machine import free_port


def can(binary):
    """Whether that build has them."""
    return subprocess.run([binary, "bench", "--help"], capture_output=True).returncode == 0


class OwnShape(Shape):
    """As a `Shape`; with TLS half of the connections take an earlier session up."""

    def __init__(self, binary, kept, tls=False):
        super().__init__(kept)
        self.binary, self.tls = binary, tls

    def send(self, address, messages):
        self.send_with(address, messages)

    def send_with(self, address, messages, more=()):
        command = [self.binary, "bench", "source", "--target", "%s:%d" % address, "--messages", str(messages)]
        command += ["--sessions", str(min(self.sessions, messages)), "--size", str(self.octets)]
        command += (["--keep"] if self.kept else []) + (["--starttls"] if self.tls else []) + list(more)
        subprocess.run(command, check=True, timeout=LOAD_SECONDS_MAX, stdout=subprocess.DEVNULL)


class OwnSink(Counting):
    """As a `Sink`; with TLS it offers STARTTLS, and what it was to refuse or to defer counts as well."""

    pattern = rb"messages=(\d+) refused=(\d+) deferred=(\d+)\n"

    def __init__(self, binary, *arguments):
        address = (SINK_HOST, free_port(SINK_HOST))
        super().__init__(address, [binary, "bench", "sink", "--listen", "%s:%d" % address, "--progress", *arguments], subprocess.DEVNULL)
