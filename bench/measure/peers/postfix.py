"""Postfix, as Debian has it."""

import os
import shutil
import subprocess

from measure.relay import Relay


class Postfix(Relay):
    name = "postfix"
    durability = "a file for each message, synced"
    encrypts = True

    def version(self):
        return "Postfix " + subprocess.run(["postconf", "-d", "-h", "mail_version"], capture_output=True, text=True).stdout.strip()

    def configure(self, sites, idle, certificate):
        host, port = self.address
        # An idle connection occupies a process, and the default limit is 100; otherwise limits are the defaults.
        processes = f"default_process_limit = {idle + 50}\nsmtpd_client_connection_count_limit = 0\n" if idle else ""
        routes = ", ".join(f"{{ {domain} = smtp:[{to[0]}]:{to[1]} }}" for domain, to in sites.items())
        tls = "smtpd_tls_security_level = none\nsmtp_tls_security_level = none\n"
        if certificate:
            tls = f"smtpd_tls_security_level = may\nsmtp_tls_security_level = may\nsmtpd_tls_cert_file = {certificate[0]}\nsmtpd_tls_key_file = {certificate[1]}\n"
        self.write("etc/main.cf", f"""
compatibility_level = 3.6
queue_directory = {self.path("queue")}
data_directory = {self.path("data")}
maillog_file = {self.path("log")}
maillog_file_prefixes = {self.folder}
myhostname = postfix.test
mydestination =
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relay_domains = {" ".join(sites)}
transport_maps = inline:{{ {routes} }}
alias_maps =
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtpd_peername_lookup = no
{tls}{processes}""")
        self.write("etc/master.cf", f"""
{host}:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
""")
        os.makedirs(self.path("queue"), exist_ok=True)
        os.makedirs(self.path("data"), exist_ok=True)
        shutil.chown(self.path("data"), "postfix")

    def command(self):
        return ["postfix", "-c", self.path("etc"), "start-fg"]

    def retry(self):
        subprocess.run(["postqueue", "-c", self.path("etc"), "-f"], check=True)

    def end(self):
        subprocess.run(["postfix", "-c", self.path("etc"), "stop"], check=True, capture_output=True)
