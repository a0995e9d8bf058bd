"""Programs that look at mail beside a relay, each in a folder and a control group of its own, with the resolver that they ask."""

import os
import shutil
import subprocess
import tempfile

from measure.machine import Failed, Group, free_port, listens, wait_for

HOST = "127.77.0.20"
# Only port 53 stands in a resolv.conf; an address for each run.
RESOLVER_HOST = f"127.78.{os.getpid() >> 8 & 255}.{os.getpid() & 255 or 1}"
START_SECONDS_MAX = 60
# No client of these runs is of the house for them.
NOBODY = "192.0.2.1"


class Program:
    """It listens at `address` once it is started."""

    def __init__(self, parent, name):
        self.name = name
        self.folder = tempfile.mkdtemp(prefix=f"{name}-", dir=parent)
        os.chmod(self.folder, 0o777)
        self.address = (HOST, free_port(HOST))
        self.group = self.process = None

    def start(self, *command, resolver=False):
        """Runs it, where it asks DNS with the resolver of this run, and waits until it listens."""
        self.group = Group(self.name)
        if resolver:
            hidden = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
            command = ["unshare", "--mount", "sh", "-c", hidden, self.write("resolv.conf", f"nameserver {RESOLVER_HOST}\n"), *command]
        with open(self.path("output"), "wb") as output:
            environment = {**os.environ, "HOME": self.folder}
            self.process = subprocess.Popen(self.group.command(command), stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=environment)
        try:
            wait_for(f"{self.name} to listen", START_SECONDS_MAX, lambda: listens(self.address) or self.assert_alive())
        except Failed:
            self.stop()
            raise
        return self

    def assert_alive(self):
        # Some go to the background by themselves.
        if self.process.poll() not in (None, 0):
            raise Failed(f"{self.name} ended instead of starting:\n{open(self.path('output'), errors='replace').read()}")

    def stop(self):
        if self.group:
            self.group.end()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)

    def cpu_seconds(self):
        return self.group.cpu_seconds()

    def named(self):
        return "%s:%d" % self.address

    def as_milter(self):
        """As milters name an address."""
        return "inet:%d@%s" % (self.address[1], self.address[0])

    def for_postfix(self):
        return f"inet:{self.named()}"


def resolver(parent, records):
    """unbound, which has these records and no others."""
    program = Program(parent, "unbound")
    program.address = (RESOLVER_HOST, 53)
    data = "".join(f" local-data: '{record}'\n" for record in records)
    return program.start("unbound", "-d", "-c", program.write("unbound.conf", f"""
server:
 interface: {RESOLVER_HOST}
 access-control: 127.0.0.0/8 allow
 do-ip6: no
 use-syslog: no
 do-daemonize: no
 username: ""
 chroot: ""
 pidfile: ""
 module-config: "iterator"
 local-zone: "." static
{data}remote-control:
 control-enable: no
"""))


def pyspf(parent):
    program = Program(parent, "pyspf-milter")
    return program.start("pyspf-milter", program.write("pyspf.conf", f"""
debugLevel = 0
TestOnly = 1
HELO_reject = Fail
Mail_From_reject = Fail
skip_addresses = {NOBODY}/32
InternalHosts = {NOBODY}
Socket = {program.as_milter()}
UserID = root
PidFile = {program.path("pid")}
Authserv_Id = relay.test
"""), resolver=True)


def opendkim(parent):
    program = Program(parent, "opendkim")
    hosts = program.write("hosts", f"{NOBODY}\n")
    return program.start("opendkim", "-f", "-x", program.write("opendkim.conf", f"""
Syslog no
Mode v
InternalHosts refile:{hosts}
AuthservID relay.test
AlwaysAddARHeader yes
Nameservers {RESOLVER_HOST}
Socket {program.as_milter()}
"""), resolver=True)


def opendmarc(parent):
    program = Program(parent, "opendmarc")
    hosts = program.write("hosts", f"{NOBODY}\n")
    return program.start("opendmarc", "-f", "-c", program.write("opendmarc.conf", f"""
Syslog no
AuthservID relay.test
TrustedAuthservIDs relay.test
IgnoreHosts {hosts}
RejectFailures true
Socket {program.as_milter()}
"""), resolver=True)


def rspamd(parent):
    """Its scanner without rules; beside it the proxy that milters' clients ask, which scans by itself."""
    program = Program(parent, "rspamd")
    program.milter = (HOST, free_port(HOST))
    program.write("tld", "com\nexample\n")
    program.write("rules.lua", "")
    at = program.folder
    return program.start("rspamd", "--no-fork", "--insecure", "--user=nobody", "--config", program.write("rspamd.conf", f"""
options {{
  pidfile = "{at}/pid"; control_socket = "{at}/control mode=0600"; tempdir = "{at}";
  history_file = "{at}/history"; cache_file = "{at}/cache"; hs_cache_dir = "{at}/";
  url_tld = "{at}/tld"; filters = "chartable";
  dns {{ nameserver = ["{HOST}"]; timeout = 0.1s; retransmits = 1; }}
}}
logging {{ type = "console"; level = "error"; }}
actions {{ reject = 15; add_header = 6; }}
worker "normal" {{ bind_socket = "{program.named()}"; count = 1; }}
worker "rspamd_proxy" {{
  bind_socket = "{HOST}:{program.milter[1]}"; milter = yes; count = 1; timeout = 60s;
  upstream "local" {{ default = yes; self_scan = yes; }}
}}
lua = "{at}/rules.lua";
"""))


def clamd(parent):
    """With one signature."""
    program = Program(parent, "clamd")
    program.write("signatures/local.ndb", "Bench:0:*:" + b"a harmless text that nobody writes".hex() + "\n")
    return program.start("clamd", "--config-file", program.write("clamd.conf", f"""
Foreground yes
TCPSocket {program.address[1]}
TCPAddr {HOST}
DatabaseDirectory {program.path("signatures")}
User root
"""))


def clamav_milter(parent, clamd):
    program = Program(parent, "clamav-milter")
    return program.start("clamav-milter", "--config-file", program.write("milter.conf", f"""
Foreground yes
MilterSocket {program.as_milter()}
ClamdSocket tcp:{clamd.named()}
OnInfected Reject
User root
"""))


def spamd(parent):
    """With one rule."""
    program = Program(parent, "spamd")
    program.write("rules/own.pre", "loadplugin Mail::SpamAssassin::Plugin::Check\n")
    program.write("rules/own.cf", "body PRIZE /lottery win/\nscore PRIZE 9\n")
    folders = [f"--configpath={program.path('rules')}", f"--siteconfigpath={program.path('rules')}"]
    host, port = program.address
    return program.start("spamd", "-L", "-x", "-m", "2", "-s", "null", "-u", "nobody", "-A", "127.0.0.0/8", "-i", host, "-p", str(port), *folders)


def spamass_milter(parent, spamd):
    program = Program(parent, "spamass-milter")
    host, port = spamd.address
    return program.start("spamass-milter", "-p", program.as_milter(), "--", "-d", host, "-p", str(port))
