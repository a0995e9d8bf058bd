"""A relay under measurement: one instance with a fresh queue in a folder of its own, all its processes in one control group."""

import json
import os
import shutil
import signal
import subprocess
import tempfile

from measure.machine import REPOSITORY, Failed, Group, free_port, listens, wait_for

RELAY_HOST = "127.77.0.1"
START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 60


class Relay:
    """Takes mail at `address` for the domains it is started with, and hands it to the next hop of each."""

    name = None
    # What is on the disk before the 250, as each does it by its own defaults.
    durability = None
    # Whether it takes mail while its next hop is down.
    stores = True
    # How long it is until it has to be told again to try what waits; `None`: once is enough.
    retry_seconds = None
    # How many connections that do nothing it is asked to hold, and what it can do beyond SMTP in clear.
    idle_counts = (400,)
    encrypts = False

    def __init__(self, parent):
        """One that is not started; its folder will be in that one."""
        self.parent = parent
        self.folder = self.address = self.process = self.group = None

    def start(self, sites, idle=0, wrapper=(), certificate=None):
        """`sites` has the address of the next hop of each domain; with a certificate mail is encrypted both ways."""
        self.folder = tempfile.mkdtemp(prefix=f"{self.name}-", dir=self.parent)
        os.chmod(self.folder, 0o755)
        self.address = (RELAY_HOST, free_port(RELAY_HOST))
        self.configure(sites, idle, certificate)
        self.group = Group(self.name)
        with open(self.path("output"), "wb") as output:
            command = self.group.command([*wrapper, *self.command()])
            self.process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=self.environment())
        wait_for(f"{self.name} to listen", START_SECONDS_MAX, lambda: listens(self.address) or self.assert_alive())

    def assert_alive(self):
        if self.process.poll() is not None:
            raise Failed(f"{self.name} ended instead of starting:\n{open(self.path('output'), errors='replace').read()}")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.end()
            try:
                self.process.wait(timeout=STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                pass
        if self.group:
            self.group.end()
        if self.process:
            self.process.wait()
        if self.folder:
            shutil.rmtree(self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w") as file:
            file.write(text)

    def cpu_seconds(self):
        return self.group.cpu_seconds()

    def pss_kib(self):
        return self.group.pss_kib()

    # What each relay says for itself.

    def version(self):
        raise NotImplementedError

    def configure(self, sites, idle, certificate):
        raise NotImplementedError

    def command(self):
        raise NotImplementedError

    def environment(self):
        return None

    def retry(self):
        """Makes it try everything that waits, at once."""
        raise NotImplementedError

    def end(self):
        """Tells the relay to stop, not a tracer in front of it."""
        for pid in self.group.processes():
            if command_name(pid) != "strace":
                os.kill(pid, signal.SIGTERM)
                return


def command_name(pid):
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except FileNotFoundError:
        return "strace"


class Gatepost(Relay):
    name = "gatepost"
    durability = "the log that has rows and small bodies, files that bodies of 16 to 256 KiB share, or one for each larger body; one sync of each for all that wait"
    idle_counts = (2_000, 10_000)
    encrypts = True

    def __init__(self, parent, binary, more="", allowed="127.0.0.1"):
        super().__init__(parent)
        self.binary = binary
        self.more = more
        # Who may relay; everybody else is a stranger.
        self.allowed = allowed

    def version(self):
        return subprocess.run([self.binary, "version"], capture_output=True, text=True, check=True).stdout.strip()

    def configure(self, sites, idle, certificate):
        # smtp-source and the idle connections come from one address, so that one has to be allowed them all.
        sessions = max(1000, idle + 100)
        shown = f'tls.certificate = "{certificate[0]}"\ntls.key = "{certificate[1]}"\n' if certificate else ""
        routes = "".join(f'domain."{domain}".route = "[{host}]:{port}"\n' for domain, (host, port) in sites.items())
        # Keys without tables, so that what is added may begin with either.
        self.write("gatepost.toml", f"""
hostname = "relay.test"
data_dir = "{self.path("data")}"
user = "root"
group = "root"
listener.internet.bind = "{self.address[0]}:{self.address[1]}"
listener.internet.max_sessions = {sessions}
listener.internet.max_per_client = {sessions}
relay.allow = ["{self.allowed}"]
spool.min_free = "0MB"
{routes}{shown}{self.more}
""")

    def command(self):
        return self.of_this("run")

    def of_this(self, *arguments):
        return [self.binary, "--config", self.path("gatepost.toml"), *arguments]

    def environment(self):
        return {**unit_environment(), **os.environ}

    def retry(self):
        subprocess.run(self.of_this("queue", "retry"), check=True, stdout=subprocess.DEVNULL)


class Direct(Relay):
    """No relay: the client is the next hop's own. What the harness itself can do, which no relay can exceed."""

    name = "direct"
    durability = "no relay: the client writes to the next hop itself; what the harness can do"
    stores = False
    encrypts = True
    idle_counts = ()

    def version(self):
        return "smtp-source to smtp-sink"

    def start(self, sites, idle=0, wrapper=(), certificate=None):
        self.address = sites["hosted.test"]

    def cpu_seconds(self):
        return 0.0

    def pss_kib(self):
        return 0


def unit_environment():
    """What packaging/gatepost.service starts the relay with."""
    with open(os.path.join(REPOSITORY, "packaging/gatepost.service")) as unit:
        lines = [line.strip().removeprefix("Environment=") for line in unit if line.startswith("Environment=")]
    return dict(setting.split("=", 1) for line in lines for setting in line.split())


def build():
    command = ["cargo", "build", "--release", "--locked", "-p", "gatepost", "--message-format", "json-render-diagnostics"]
    built = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True)
    messages = (json.loads(line) for line in built.stdout.splitlines())
    return [m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "gatepost"][-1]
