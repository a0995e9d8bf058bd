#!/usr/bin/env bash
# ldif3 3.2.2 (PyPI) on an export with a name beyond ASCII.
#
# Guess: a value in base64 (RFC 2849: two colons, the only way to write what is not ASCII) is decoded, as the library's description says.
# Seen: it calls a function that Python has not had since 3.9. The first such value ends the reading with an AttributeError; entries
# before it have been given out by then, so that a list made of them is cut off where the first umlaut stands.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check ldif3==3.2.2

"$work/venv/bin/python" - >"$work/seen" <<'PYTHON'
import io

from ldif3 import LDIFParser

EXPORT = b"""dn: cn=Ann,dc=example
mail: ann@a.example

dn:: Y249SsO8cmdlbixkYz1leGFtcGxl
mail: juergen@a.example

dn: cn=Zoe,dc=example
mail: zoe@a.example
"""
try:
    for name, entry in LDIFParser(io.BytesIO(EXPORT)).parse():
        print(name, entry["mail"])
except Exception as error:
    print(f"{type(error).__name__}: {error}")
PYTHON

cat "$work/seen"
diff "$work/seen" - <<'SEEN'
cn=Ann,dc=example ['ann@a.example']
AttributeError: module 'base64' has no attribute 'decodestring'
SEEN
