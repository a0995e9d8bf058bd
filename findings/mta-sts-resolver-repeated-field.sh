#!/usr/bin/env bash
# postfix-mta-sts-resolver 1.5.1 (PyPI) on a policy of MTA-STS that says max_age twice.
#
# Guess: the first one counts, as RFC 8461 section 3.2 has it for every field but mx. That is what a domain wrote; the second is what some
# tool appended.
# Seen: the last one counts, without a word; the policy is kept for so long.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check postfix-mta-sts-resolver==1.5.1

"$work/venv/bin/python" - >"$work/seen" <<'PYTHON'
from postfix_mta_sts_resolver.utils import parse_mta_sts_policy

policy = "version: STSv1\r\nmode: enforce\r\nmx: a.example\r\nmx: b.example\r\nmax_age: 86400\r\n"
for more in ("", "max_age: 604800\r\n"):
    read = parse_mta_sts_policy(policy + more)
    print(repr(more), read["mx"], read["mode"], read["max_age"])
PYTHON

cat "$work/seen"
diff "$work/seen" - <<'SEEN'
'' ['a.example', 'b.example'] enforce 86400
'max_age: 604800\r\n' ['a.example', 'b.example'] enforce 604800
SEEN
