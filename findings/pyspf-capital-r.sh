#!/usr/bin/env bash
# pyspf 2.0.14 (PyPI) on a macro of SPF whose transformer is a capital `R`.
#
# Guess: `%{dR}` is `%{dr}`. RFC 7208 section 7.1 writes the transformer as the literal "r", and literals in ABNF are of either case
# (RFC 5234 section 2.3). The macro letter before it may be a capital too, and that one the library knows.
# Seen: the labels are not turned round, and not a word is said: the question for `exists` goes to another name, and a client that
# may send gets "fail" where the small letter gives "pass".
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check pyspf==2.0.14 dnspython==2.9.2

"$work/venv/bin/python" - >"$work/seen" <<'PYTHON'
import spf

for macro in ("%{dr}", "%{Dr}", "%{dR}"):
    asked = []

    def answer(name, kind, *_, **__):
        policy = f"v=spf1 exists:{macro}.l.example -all".encode()
        if kind == "TXT":
            return [((name, kind), (policy,))]
        asked.append(name)
        return [((name, kind), "127.0.0.2")] if name == "example.d.a.l.example" else []

    spf.DNSLookup = answer
    result = spf.query(i="192.0.2.1", s="ann@a.d.example", h="a.d.example", strict=False).check()[0]
    print(f"{macro} of a.d.example: asks {asked}, {result}")
PYTHON

cat "$work/seen"
diff "$work/seen" - <<'SEEN'
%{dr} of a.d.example: asks ['example.d.a.l.example'], pass
%{Dr} of a.d.example: asks ['example.d.a.l.example'], pass
%{dR} of a.d.example: asks ['a.d.example.l.example'], fail
SEEN
