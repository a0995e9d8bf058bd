"""What this machine is asked: ports, processes, times, sizes, and how fast its disk is."""

import os
import socket
import sys
import tempfile
import time

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"
DISK_SECONDS = 2.0


class Failed(Exception):
    """Something under measurement did not do what it was asked."""


def progress(text):
    print(text, file=sys.stderr, flush=True)


def free_port(host):
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def listens(address):
    with socket.socket() as probe:
        return probe.connect_ex(address) == 0


def wait_for(what, limit, condition):
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"gave up after {limit} s waiting for {what}")
        time.sleep(0.02)


def pss_kib(pid):
    """What a process has in memory, what it shares with others divided among them."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("Pss:")), 0)
    except (FileNotFoundError, ProcessLookupError):
        return 0


class Group:
    """A control group: all processes that came from one, wherever their parents went, and the time they all took.

    Exim's deliveries, for one, leave their parents, and nobody else has the time of those that ended.
    """

    def __init__(self, name):
        self.folder = tempfile.mkdtemp(prefix=f"bench-{name}-", dir=control_groups())

    def command(self, command):
        """The command as one that enters the group first."""
        return ["sh", "-c", 'echo $$ >"$0" && exec "$@"', self.path("cgroup.procs"), *command]

    def path(self, name):
        return os.path.join(self.folder, name)

    def processes(self):
        with open(self.path("cgroup.procs")) as file:
            return [int(line) for line in file]

    def cpu_seconds(self):
        with open(self.path("cpu.stat")) as file:
            return next(int(line.split()[1]) for line in file if line.startswith("usage_usec")) / 1e6

    def pss_kib(self):
        return sum(pss_kib(pid) for pid in self.processes())

    def end(self):
        """Ends what is left in it."""
        with open(self.path("cgroup.kill"), "w") as file:
            file.write("1")
        wait_for("processes to end", 30, lambda: not self.is_populated())
        os.rmdir(self.folder)

    def is_populated(self):
        with open(self.path("cgroup.events")) as file:
            return "populated 1" in file.read()


def control_groups():
    """Where version 2 of control groups is mounted."""
    with open("/proc/mounts") as mounts:
        for line in mounts:
            _, folder, kind, *_ = line.split()
            if kind == "cgroup2" and os.access(folder, os.W_OK):
                return folder
    sys.exit("no writable control groups (cgroup2): by them the CPU time of a relay's processes is taken")


class Busy:
    """How many of the machine's processors do something from now on, as a part of all."""

    def __init__(self):
        self.before = self.times()

    def part(self):
        idle, all_of_it = (now - before for now, before in zip(self.times(), self.before))
        return 1 - idle / max(all_of_it, 1)

    @staticmethod
    def times():
        with open("/proc/stat") as file:
            fields = [int(field) for field in file.readline().split()[1:9]]
        return fields[3] + fields[4], sum(fields)


def disk_rate(folder, octets):
    """Pieces of so many octets that one writer appends in a second, each with a sync of its own."""
    piece = os.urandom(octets)
    count, begin = 0, time.monotonic()
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        while time.monotonic() - begin < DISK_SECONDS:
            file.write(piece)
            os.fdatasync(file.fileno())
            count += 1
        return count / (time.monotonic() - begin)


def description(folder):
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), os.uname().machine)
    with open("/proc/meminfo") as file:
        memory_kib = int(file.readline().split()[1])
    return {
        "cores": os.cpu_count(),
        "processor": model,
        "memory_gib": round(memory_kib / 1024 / 1024, 1),
        "kernel": os.uname().release,
        "file_system": file_system(folder),
    }


def file_system(folder):
    """The type of the file system a folder is in: the longest mount point that it begins with."""
    folder = os.path.realpath(folder)
    found = ("", "?")
    with open("/proc/mounts") as mounts:
        for line in mounts:
            _, point, kind, *_ = line.split()
            if folder == point or folder.startswith(point.rstrip("/") + "/"):
                found = max(found, (point, kind), key=lambda entry: len(entry[0]))
    return found[1]
