"""Checks by pyspf, for peers.rs: reads zones and checks, writes a result and an explanation a line."""

import socket
import sys

sys.path.insert(0, sys.argv[1])
import spf

zone = {}


def look_up(name, kind, strict=True, timeout=None):
    name = name.lower().rstrip(".")
    for of, data in zone.get(name, []):
        if of == "FAIL":
            raise spf.TempError("time-out")
        if of == kind:
            yield (name, kind), data


def as_pydns(kind, data):
    if kind == "TXT":
        return (data.encode(),)
    if kind == "MX":
        return (10, data)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, data)
    return data


spf.DNSLookup = look_up
results = []
for line in sys.stdin.read().splitlines():
    what, *parts = line.split("\t")
    if what == "zone":
        zone = {}
    elif what == "record":
        name, kind, data = parts
        zone.setdefault(name, []).append((kind, as_pydns(kind, data)))
    else:
        client, sender = parts
        query = spf.query(i=client, s=sender, h="h1.test", strict=True)
        query.set_default_explanation("")
        result, _, explanation = query.check()
        results.append(f"{result} {explanation if result == 'fail' else ''}")
print("\n".join(results))
