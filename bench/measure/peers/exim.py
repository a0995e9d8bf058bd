"""Exim, as Debian has it (`exim4-daemon-light`)."""

import os
import subprocess

from measure.machine import REPOSITORY
from measure.peers.enclosed import NOBODY, Enclosed

# So many runners of the queue at the same time are its default.
QUEUE_RUNNERS = 5


class Exim(Enclosed):
    name = "exim"
    durability = "two files for each message, synced"
    words, debian, package = "Exim", "exim4-daemon-light", os.path.join(REPOSITORY, "target/peers/exim")
    accounts = ("Debian-exim",)
    folders = (("var/spool/exim4", NOBODY, 0o750), ("var/log/exim4", NOBODY, 0o755), ("etc/exim4", 0, 0o755), ("peer", 0, 0o755))

    def configure(self, sites, idle, certificate):
        self.prepare()
        host, port = self.address
        routes = "; ".join(f"{domain} {to[0]}::{to[1]} byname" for domain, to in sites.items())
        # Its limits of 20 connections, and of ten messages on one before the rest has to wait for the next run of the
        # queue, are for a host that does something else; unlimited they are comparable.
        self.write("root/etc/exim4/exim4.conf", f"""
keep_environment =
exim_path = /peer/usr/sbin/exim4
primary_hostname = exim.test
spool_directory = /var/spool/exim4
log_file_path = /var/log/exim4/%slog
local_interfaces = {host}
daemon_smtp_ports = {port}
host_lookup =
rfc1413_query_timeout = 0s
smtp_accept_max = 0
smtp_accept_queue_per_connection = 0
message_size_limit = 50M
acl_smtp_rcpt = all
begin acl
all:
  accept
begin routers
relay:
  driver = manualroute
  transport = smtp
  route_list = {routes}
  self = send
begin transports
smtp:
  driver = smtp
  allow_localhost
  port = 25
  hosts_avoid_tls = *
begin retry
* * F,1h,1m
""")
        os.chmod(self.root("etc/exim4/exim4.conf"), 0o644)

    def command(self):
        return self.enclosed(["/peer/usr/sbin/exim4", "-bdf", "-q30m"])

    def retry(self):
        for _ in range(QUEUE_RUNNERS):
            subprocess.Popen(self.group.command(self.inside(["/peer/usr/sbin/exim4", "-qff"])))
