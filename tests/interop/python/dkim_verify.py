"""dkimpy verifies a message from standard input: `dkim_verify.py ADDRESS PORT`, a name server.

Prints a line for each signature, from the top: its domain and selector, and `pass` or why not.
"""

import sys

import dkim
import dns.resolver

resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers = [sys.argv[1]]
resolver.port = int(sys.argv[2])


def record(name, timeout=5):
    answer = resolver.resolve(name.decode(), "TXT", lifetime=timeout)
    return b"".join(answer[0].strings)


message = sys.stdin.buffer.read()
fields = [value for name, value in dkim.DKIM(message).headers if name.lower() == b"dkim-signature"]
for index, value in enumerate(fields):
    tags = dkim.util.parse_tag_value(value)
    try:
        result = "pass" if dkim.DKIM(message).verify(idx=index, dnsfunc=record) else "fail"
    except dkim.DKIMException as why:
        result = f"{why}"
    print(tags[b"d"].decode(), tags[b"s"].decode(), result)
