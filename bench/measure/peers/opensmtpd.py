"""OpenSMTPD, as Debian has it."""

import os
import shutil
import subprocess

from measure.machine import REPOSITORY
from measure.peers.enclosed import NOBODY, Enclosed

# Connections that are kept would end after a hundred messages.
LIMITS = "smtp limit max-mails 1000000\nsmtp limit max-rcpt 1000000\n"


class OpenSmtpd(Enclosed):
    name = "opensmtpd"
    durability = "files for each message, not synced"
    retry_seconds = 2
    words, debian, package = "OpenSMTPD", "opensmtpd", os.path.join(REPOSITORY, "target/peers/opensmtpd")
    accounts = ("opensmtpd", "opensmtpq")
    folders = (("var/spool/smtpd", 0, 0o711), ("var/lib/opensmtpd/empty", 0, 0o711), ("var/mail", 0, 0o755))

    def configure(self, sites, idle, certificate):
        self.prepare()
        host, port = self.address
        actions = "".join(f'action "{domain}" relay host "smtp://{to[0]}:{to[1]}"\n' for domain, to in sites.items())
        matches = "".join(f'match from any for domain "{domain}" action "{domain}"\n' for domain in sites)
        self.write("root/etc/mailname", "opensmtpd.test\n")
        self.write("root/etc/smtpd.conf", f"{LIMITS}listen on {host} port {port}\n{actions}{matches}")
        os.chmod(self.root("etc/smtpd.conf"), 0o644)

        # As its package installs it, without which it does nothing.
        shutil.copy(os.path.join(self.package, "usr/sbin/smtpctl"), self.root("smtpctl"))
        os.chown(self.root("smtpctl"), 0, NOBODY)
        os.chmod(self.root("smtpctl"), 0o2755)

    def command(self):
        return self.enclosed(["/peer/usr/sbin/smtpd", "-d"])

    def retry(self):
        # The route that failed is left alone for a quarter of a minute otherwise, whatever is scheduled.
        for route in self.control("show", "routes").splitlines():
            self.control("resume", "route", route.split(".")[0])
        self.control("schedule", "all")

    def control(self, *words):
        return subprocess.run(self.inside(["/smtpctl", *words]), check=True, capture_output=True, text=True).stdout
