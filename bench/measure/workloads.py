"""What is asked of each relay in turn, and what is written down of it. The letters are those of bench/README.md."""

import contextlib
import statistics
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from typing import Callable

from measure.figures import Figure, number, of
from measure.load import LOAD_SECONDS_MAX, SINK_HOST, Arrivals, Shape, Sink, count_for, greeted, probe
from measure.machine import Busy, free_port, progress
from measure.own import OwnShape, OwnSink
from measure.relay import Gatepost

SYNC_CALLS = ("fsync", "fdatasync", "sync_file_range", "msync")
SETTLE_SECONDS = 1.0
IDLE_SECONDS = 2.0
IDLE_SECONDS_MAX = 300
SAMPLE_SECONDS = 0.1
# Of one message at a time; what takes longer is ended by the time of a workload.
PROBES = 500
WARM_UP_PROBES = 20
# Behind the slow site, and how long they may take to come.
WAITING, FILL_SECONDS = 10_000, 15
SLOW_SECONDS = 1
# Messages over which calls of the allocator are counted, at least.
ALLOCATING = 2_000

KEPT = Shape(kept=True)
EACH = Shape(kept=False)
MIDDLE = Shape(kept=True, octets=100 * 1024)
LARGE = Shape(kept=True, octets=5 * 1024 * 1024, sessions=10)


@dataclass
class Run:
    """What holds for a whole run."""

    folder: str
    # How long one load takes, about; and how many messages instead, where that is fixed.
    seconds: float
    messages: int | None = None
    # Gatepost's own client and next hop, where a build has them; what relays show who encrypt.
    tool: str | None = None
    certificate: tuple | None = None
    counts: dict = field(default_factory=dict)

    def count(self, key, try_count):
        """How many messages a load has: found by trying in the first round, the same in all others."""
        if key not in self.counts:
            self.counts[key] = self.messages or count_for(self.seconds, try_count)
        return self.counts[key]


@dataclass
class Workload:
    words: str
    # From a run and a relay's maker to figures: in each round, and in the first one alone.
    measure: Callable
    once: Callable
    figures: list
    # Which relays can do it.
    takes: Callable = lambda relay: True
    needs_tool: bool = False


# ---- A relay between a client and a next hop ----------------------------------------------------------------------------


@contextlib.contextmanager
def between(run, make, sites, **more):
    relay = make(run.folder)
    try:
        relay.start(sites, **more)
        yield relay
    finally:
        relay.stop()


@contextlib.contextmanager
def stopped(service):
    try:
        yield service
    finally:
        service.stop()


@contextlib.contextmanager
def flowing(run, make, sink=None, sites=None, **more):
    with stopped(sink or Sink()) as sink, between(run, make, {"hosted.test": sink.address, **(sites or {})}, **more) as relay:
        yield relay, sink


def pass_through(relay, sink, shape, messages):
    """Sends, until the sink has them all."""
    goal = sink.taken + messages
    shape.send(relay.address, messages)
    sink.wait_until(goal)


def warmed(run, relay, sink, shape, key):
    """The number of messages of a load; the first messages pay for starting what runs on demand."""
    pass_through(relay, sink, shape, shape.sessions)
    return run.count((key, type(relay)), lambda count: pass_through(relay, sink, shape, count))


# ---- (a) to (d): as fast as it goes -------------------------------------------------------------------------------------


def rate(shape, key):
    def measure(run, make):
        with flowing(run, make) as (relay, sink):
            return rated(run, relay, sink, shape, key)

    return measure


def rated(run, relay, sink, shape, key):
    count = warmed(run, relay, sink, shape, key)
    cpu, busy, begin = relay.cpu_seconds(), Busy(), time.monotonic()
    pass_through(relay, sink, shape, count)
    seconds, part = time.monotonic() - begin, busy.part()
    # What is left to do for these messages, such as removing them from the queue, belongs to their price.
    time.sleep(SETTLE_SECONDS)
    figures = {"per_second": count / seconds, "busy": part}
    if relay.group:
        figures["cpu"] = (relay.cpu_seconds() - cpu) * 1e6 / count
    return figures


def memory(shape, key):
    """The largest of samples taken during a load of its own, because reading the sizes costs CPU time."""
    def measure(run, make):
        with flowing(run, make) as (relay, sink):
            count = warmed(run, relay, sink, shape, key)
            done, samples = threading.Event(), []

            def sample():
                while not done.wait(SAMPLE_SECONDS):
                    samples.append(relay.pss_kib())

            sampler = threading.Thread(target=sample)
            sampler.start()
            pass_through(relay, sink, shape, count)
            done.set()
            sampler.join()
            return {"memory": max([*samples, relay.pss_kib()]) / 1024}

    return measure


def syncs(shape, key):
    """A load under strace, which stops the relay at these calls only."""
    def measure(run, make):
        with SyncCalls() as calls, flowing(run, make, wrapper=calls.tracer) as (relay, sink):
            pass_through(relay, sink, shape, shape.sessions)
            count = max(run.counts.get((key, type(relay)), 0) // 8, shape.sessions)
            before = calls.number()
            pass_through(relay, sink, shape, count)
            time.sleep(SETTLE_SECONDS)
            return {"syncs": (calls.number() - before) / count}

    return measure


class SyncCalls:
    """The calls that strace, in front of a relay's command, has seen so far."""

    def __enter__(self):
        self.output = tempfile.NamedTemporaryFile(suffix=".strace")
        self.tracer = ["strace", "-f", "--seccomp-bpf", "-e", f"trace={','.join(SYNC_CALLS)}", "-o", self.output.name]
        return self

    def __exit__(self, *_):
        self.output.close()

    def number(self):
        with open(self.output.name) as file:
            # One that another thread interrupts has a second line, which says that it was resumed.
            return sum(line.split()[1].split("(")[0] in SYNC_CALLS for line in file)


def allocations(shape, key):
    """A load on a relay that writes down each call of its allocator. Others are several programs, which start each other
    without what they were started with."""
    def measure(run, make):
        if not isinstance(make(None), Gatepost):
            return {}
        with AllocatorCalls() as calls, flowing(run, make, wrapper=calls.recorder) as (relay, sink):
            pass_through(relay, sink, shape, shape.sessions)
            count = max(run.counts.get((key, type(relay)), 0) // 8, ALLOCATING)
            before = calls.number()
            pass_through(relay, sink, shape, count)
            time.sleep(SETTLE_SECONDS)
            return {"allocations": (calls.number() - before) / count}

    return measure


class AllocatorCalls:
    """The calls of malloc and its like that heaptrack's library, loaded into a program before all others, has seen so far. It
    writes as it goes, a line each, some hundred lines late."""

    def __enter__(self):
        self.output = tempfile.NamedTemporaryFile(suffix=".heaptrack")
        files = subprocess.run(["dpkg", "-L", "libheaptrack"], check=True, capture_output=True, text=True).stdout.split()
        library = next(file for file in files if file.endswith("/libheaptrack_preload.so"))
        self.recorder = ["env", f"LD_PRELOAD={library}", f"DUMP_HEAPTRACK_OUTPUT={self.output.name}"]
        return self

    def __exit__(self, *_):
        self.output.close()

    def number(self):
        with open(self.output.name, "rb") as file:
            return sum(line.startswith(b"+") for line in file)


def together(*measures):
    def measure(run, make):
        figures = {}
        for one in measures:
            figures.update(one(run, make))
        return figures

    return measure


# ---- (e): the next hop is down ------------------------------------------------------------------------------------------


def accept_and_drain(run, make):
    address = (SINK_HOST, free_port(SINK_HOST))
    waiting = 0

    def send(count):
        nonlocal waiting
        KEPT.send(relay.address, count)
        waiting += count

    with between(run, make, {"hosted.test": address}) as relay:
        send(KEPT.sessions)
        count = run.count(("e", type(relay)), send)
        begin = time.monotonic()
        send(count)
        accepted = count / (time.monotonic() - begin)
        wait_until_idle(relay)
        with stopped(Sink(address)) as sink:
            begin = time.monotonic()
            relay.retry()
            end = begin + LOAD_SECONDS_MAX
            while relay.retry_seconds and time.monotonic() < end and not sink.has(waiting, relay.retry_seconds):
                relay.retry()
            sink.wait_until(waiting)
            return {"accepted": accepted, "drained": waiting / (time.monotonic() - begin)}


def wait_until_idle(relay):
    """Until everything was tried and found the next hop down."""
    used, end = -1.0, time.monotonic() + IDLE_SECONDS_MAX
    while relay.cpu_seconds() - used > 0.05 * IDLE_SECONDS and time.monotonic() < end:
        used = relay.cpu_seconds()
        time.sleep(IDLE_SECONDS)


# ---- (g), (f), (k): delays ----------------------------------------------------------------------------------------------


def percentile(waits, percent):
    """In milliseconds."""
    return 1000 * statistics.quantiles(waits, n=100, method="inclusive")[percent - 1] if len(waits) > 1 else 1000 * waits[0]


def delays(run, relay, arrivals):
    probe(relay.address, arrivals, WARM_UP_PROBES, run.seconds)
    return probe(relay.address, arrivals, run.messages or PROBES, run.seconds)


def one_at_a_time(run, make):
    with stopped(Arrivals()) as arrivals, between(run, make, {"hosted.test": arrivals.address}) as relay:
        waits = delays(run, relay, arrivals)
        return {"p50": percentile(waits, 50), "p99": percentile(waits, 99)}


def one_at_a_time_syncs(run, make):
    with SyncCalls() as calls, stopped(Arrivals()) as arrivals:
        with between(run, make, {"hosted.test": arrivals.address}, wrapper=calls.tracer) as relay:
            probe(relay.address, arrivals, WARM_UP_PROBES, run.seconds)
            before = calls.number()
            sent = len(probe(relay.address, arrivals, PROBES, run.seconds))
            time.sleep(SETTLE_SECONDS)
            return {"syncs": (calls.number() - before) / sent}


def idle(run, make):
    """What connections that said EHLO and nothing since add, and what becomes of the others."""
    figures = {}
    with stopped(Arrivals()) as arrivals:
        for name, count in zip(("few", "many"), make(None).idle_counts):
            with between(run, make, {"hosted.test": arrivals.address}, idle=count) as relay:
                alone = percentile(delays(run, relay, arrivals), 99)
                time.sleep(SETTLE_SECONDS)
                before, connections = relay.pss_kib(), idle_connections(relay, count)
                time.sleep(SETTLE_SECONDS)
                figures[f"{name}_kib"] = (relay.pss_kib() - before) / count
                figures[f"{name}_p99"] = percentile(delays(run, relay, arrivals), 99) / alone
                for connection in connections:
                    connection.close()
    return figures


def idle_connections(relay, count, tls=False):
    connections = []
    for _ in range(count):
        connection, lines = greeted(relay.address, tls)
        lines.close()
        connections.append(connection)
    return connections


def slow_site(run, make):
    """Mail for a fast site, while much waits for one that takes its time over each message."""
    with stopped(Arrivals()) as arrivals, stopped(Sink(delay_seconds=SLOW_SECONDS)) as slow:
        with between(run, make, {"hosted.test": arrivals.address, "slow.test": slow.address}) as relay:
            alone = percentile(delays(run, relay, arrivals), 99)
            waiting = fill(relay, run.messages or WAITING)
            beside = percentile(delays(run, relay, arrivals), 99)
            return {"waiting": waiting - slow.taken, "p99": beside, "p99_alone": alone, "factor": beside / alone}


def fill(relay, messages):
    """Sends so many for the slow site, or as many as come within the time for it."""
    shape, sent, end = Shape(kept=True, domain="slow.test"), 0, time.monotonic() + FILL_SECONDS
    while sent < messages and time.monotonic() < end:
        shape.send(relay.address, min(500, messages - sent))
        sent += min(500, messages - sent)
    if sent < messages:
        progress(f"only {sent} messages came within {FILL_SECONDS} s")
    return sent


# ---- (h), (j): what smtp-source and smtp-sink cannot do ----------------------------------------------------------------


def encrypted(run, make):
    figures = {}
    each, kept = (OwnShape(run.tool, kept, tls=True) for kept in (False, True))
    # Where nothing stands between, the next hop alone can encrypt.
    inwards = [] if make(None).stores else ["--starttls"]
    with flowing(run, make, OwnSink(run.tool, *inwards), certificate=run.certificate) as (relay, sink):
        figures.update({f"each_{key}": value for key, value in rated(run, relay, sink, each, "h each").items()})
    with flowing(run, make, OwnSink(run.tool, "--starttls"), certificate=run.certificate) as (relay, sink):
        figures.update({f"kept_{key}": value for key, value in rated(run, relay, sink, kept, "h kept").items()})
    if make(None).idle_counts:
        figures["idle_kib"] = idle_encrypted(run, make)
    return figures


def idle_encrypted(run, make):
    count = make(None).idle_counts[0]
    with stopped(Arrivals()) as arrivals, between(run, make, {"hosted.test": arrivals.address}, idle=count, certificate=run.certificate) as relay:
        time.sleep(SETTLE_SECONDS)
        before, connections = relay.pss_kib(), idle_connections(relay, count, tls=True)
        time.sleep(SETTLE_SECONDS)
        added = (relay.pss_kib() - before) / count
        for connection in connections:
            connection.close()
        return added


def refusing(run, make):
    """What the next hop refuses comes back to the sender, whose site is another."""
    with stopped(Sink()) as senders:
        sink, shape = OwnSink(run.tool, "--refuse", "10", "--defer", "10"), OwnShape(run.tool, kept=True)
        with flowing(run, make, sink, sites={"client.test": senders.address}) as (relay, sink):
            return rated(run, relay, sink, shape, "j")


# ---- The table ----------------------------------------------------------------------------------------------------------


def stores(relay):
    return relay.stores


PER_SECOND = ("per_second", "messages per second", 0)
CPU = ("cpu", "CPU ms per 1,000", 0)
BUSY = Figure("busy", "processors busy", 2, number(">=", 0.93))
MEMORY = ("memory", "peak memory, MiB", 1)
SYNCS = ("syncs", "syncs per message", 3)
ALLOCATIONS = ("allocations", "allocations per message", 0)

WORKLOADS = {
    "a": Workload("a connection for each message; 4 KiB, 50 sessions", rate(EACH, "a"), None, [
        Figure(*PER_SECOND, of("postfix", ">=", 10), of("haproxy", ">=", 1.0)),
        Figure(*CPU, of("postfix", "<=", 1 / 17), of("haproxy", "<=", 1.15)),
        BUSY,
    ]),
    "b": Workload("connections kept; 4 KiB, 50 sessions", rate(KEPT, "b"), together(memory(KEPT, "b"), syncs(KEPT, "b"), allocations(KEPT, "b")), [
        Figure(*PER_SECOND, of("postfix", ">=", 16), of("haproxy", ">=", 0.7)),
        Figure(*CPU, of("postfix", "<=", 1 / 25), of("haproxy", "<=", 2.2)),
        BUSY,
        Figure(*MEMORY),
        Figure(*SYNCS),
        Figure(*ALLOCATIONS),
    ]),
    "c": Workload("connections kept; 100 KiB, 50 sessions", rate(MIDDLE, "c"), syncs(MIDDLE, "c"), [
        Figure(*PER_SECOND, of("postfix", ">=", 6)),
        Figure(*CPU, of("before", "<=", 0.5)),
        Figure(*SYNCS, number("<=", 0.1)),
    ]),
    "d": Workload("connections kept; 5 MiB, 10 sessions", rate(LARGE, "d"), memory(LARGE, "d"), [
        Figure(*PER_SECOND[:2], 1, of("postfix", ">=", 3)),
        Figure(*CPU),
        Figure(*MEMORY, number("<=", 32)),
    ]),
    "e": Workload("the next hop is down, then up; 4 KiB, 50 sessions", accept_and_drain, None, [
        Figure("accepted", "accepted per second", 0, of("postfix", ">=", 10)),
        Figure("drained", "drained per second", 0, of("postfix", ">=", 10), of("gatepost", ">=", 0.9, "b.per_second")),
    ], stores),
    "f": Workload("connections that say EHLO and then nothing", idle, None, [
        Figure("few_kib", "KiB each, 2,000 (others 400)", 1, number("<=", 4)),
        Figure("few_p99", "p99 of other mail, of its value alone", 2, number("<=", 1.5)),
        Figure("many_kib", "KiB each, 10,000", 1, number("<=", 4)),
        Figure("many_p99", "p99 of other mail, of its value alone, 10,000", 2, number("<=", 1.5)),
    ], stores),
    "g": Workload("one message at a time, a connection each, until the next hop has it; 4 KiB", one_at_a_time, one_at_a_time_syncs, [
        Figure("p50", "p50, ms", 2, of("postfix", "<=", 1 / 3)),
        Figure("p99", "p99, ms", 2, of("postfix", "<=", 1, "g.p50")),
        Figure(*SYNCS, number("<=", 2)),
    ]),
    "h": Workload("TLS: (a) with STARTTLS, half of the sessions resumed; (b) encrypted both ways", encrypted, None, [
        Figure("each_per_second", "(a) per second", 0, of("postfix", ">=", 8)),
        Figure("each_cpu", "CPU ms per 1,000", 0),
        Figure("kept_per_second", "(b) per second", 0, of("postfix", ">=", 12)),
        Figure("kept_cpu", "CPU ms per 1,000", 0),
        Figure("idle_kib", "KiB for each idle connection", 1, number("<=", 16)),
    ], lambda relay: relay.encrypts, needs_tool=True),
    "j": Workload("one recipient in ten refused, one in ten deferred by the next hop; 4 KiB, kept", refusing, None, [
        Figure(*PER_SECOND, of("gatepost", ">=", 0.6, "b.per_second")),
        Figure(*CPU),
    ], stores, needs_tool=True),
    "k": Workload(f"mail for a fast site while {WAITING:,} wait for a slow one; 4 KiB", slow_site, None, [
        Figure("waiting", "waiting", 0),
        Figure("p99_alone", "p99 alone, ms", 2),
        Figure("p99", "p99 beside, ms", 2),
        Figure("factor", "of its value alone", 2, number("<=", 1.5)),
    ], stores),
}
