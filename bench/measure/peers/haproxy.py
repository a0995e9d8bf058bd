"""haproxy in TCP mode: connections are joined, nothing is read of what they say and nothing is stored. The limit."""

import re
import subprocess

from measure.relay import Relay


class Haproxy(Relay):
    name = "haproxy"
    durability = "stores nothing and reads nothing of SMTP: the limit of what is between client and next hop"
    stores = False
    # From end to end, which it knows nothing of.
    encrypts = True
    idle_counts = ()

    def version(self):
        text = subprocess.run(["haproxy", "-v"], capture_output=True, text=True).stdout
        return "haproxy " + re.search(r"version (\S+?)[-+ ]", text).group(1)

    def configure(self, sites, idle, certificate):
        to = sites["hosted.test"]
        self.write("haproxy.cfg", f"""
global
    maxconn 4000
defaults
    mode tcp
    timeout connect 10s
    timeout client 5m
    timeout server 5m
listen relay
    bind {self.address[0]}:{self.address[1]}
    server sink {to[0]}:{to[1]}
""")

    def command(self):
        return ["haproxy", "-db", "-f", self.path("haproxy.cfg")]
