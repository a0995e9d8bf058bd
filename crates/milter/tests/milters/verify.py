"""Says whether the DKIM signature of the message on standard input is good by this public key."""

import sys

import dkim

with open(sys.argv[1]) as file:
    lines = [line for line in file.read().splitlines() if not line.startswith("-")]
record = b"v=DKIM1; k=rsa; p=" + "".join(lines).encode()
print(dkim.verify(sys.stdin.buffer.read(), dnsfunc=lambda name, timeout=5: record))
