#!/usr/bin/env bash
# pyspf 2.0.14 (PyPI) on a policy that has the same unknown modifier twice.
#
# Guess: RFC 7208 section 6: unrecognized modifiers are ignored, "no matter where, or how often, they appear in a record"; only `redirect` and `exp`
# may stand there once. So both policies below say that the client may send.
# Seen: the second one is a permerror, and with pyspf-milter or policyd-spf a refusal, because of a modifier that means nothing.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check pyspf==2.0.14 dnspython==2.8.0

"$work/venv/bin/python" - >"$work/seen" <<'PYTHON'
import spf


def result(policy):
    def answer(name, kind, *_, **__):
        return [((name, kind), (policy.encode(),))] if kind == "TXT" and name.rstrip(".") == "a.example" else []

    spf.DNSLookup = answer
    return spf.query(i="192.0.2.1", s="ann@a.example", h="a.example", strict=False).check()[0]


for policy in ("v=spf1 ip4:192.0.2.1 note=one more=two -all", "v=spf1 ip4:192.0.2.1 note=one note=two -all"):
    print(f"{result(policy)}: {policy}")
PYTHON

cat "$work/seen"
diff "$work/seen" - <<'SEEN'
pass: v=spf1 ip4:192.0.2.1 note=one more=two -all
permerror: v=spf1 ip4:192.0.2.1 note=one note=two -all
SEEN
