"""dkimpy verifies the messages of a folder, and signs others into a second one:
`dkimpy.py FOLDER UNSIGNED SIGNED`. FOLDER and UNSIGNED hold `*.eml`; keys are in FOLDER: `keys`
has lines of a name and its record, `rsa.pem` and `ed25519.pem` are the private ones.

Prints a line for each message of FOLDER: its name, and `pass` or `fail` for each of its signatures.
"""

import base64
import itertools
import pathlib
import subprocess
import sys

import dkim

folder, unsigned, signed = map(pathlib.Path, sys.argv[1:])
keys = dict(line.split(b" ", 1) for line in (folder / "keys").read_bytes().splitlines())


def record(name, timeout=5):
    return keys.get(name.rstrip(b"."))


for path in sorted(folder.glob("*.eml")):
    message = path.read_bytes()
    results = []
    count = sum(name.lower() == b"dkim-signature" for name, _ in dkim.DKIM(message).headers)
    for index in range(count):
        try:
            good = dkim.DKIM(message).verify(idx=index, dnsfunc=record)
        except dkim.DKIMException:
            good = False
        results.append("pass" if good else "fail")
    print(path.stem, *results)

rsa = (folder / "rsa.pem").read_bytes()
# It wants the seed alone, which stands last in the key (RFC 8410).
pem = (folder / "ed25519.pem").read_bytes().splitlines()[1:-1]
ed25519 = base64.b64encode(base64.b64decode(b"".join(pem))[-32:])
kinds = {b"rsa": (b"rsa-sha256", rsa), b"ed": (b"ed25519-sha256", ed25519)}
forms = [b"simple", b"relaxed"]
for path in sorted(unsigned.glob("*.eml")):
    message = path.read_bytes()
    for header, body, kind, length in itertools.product(forms, forms, kinds, [False, True]):
        algorithm, key = kinds[kind]
        field = dkim.sign(
            message,
            kind,
            b"a.example",
            key,
            canonicalize=(header, body),
            signature_algorithm=algorithm,
            length=length,
        )
        name = b"-".join([header, body, kind, b"l" if length else b""]).decode()
        (signed / f"{path.stem}-dkimpy-{name}.eml").write_bytes(field + message)
