#!/usr/bin/env bash
# authres 1.2.0 (PyPI) on an Authentication-Results field with the method `dnswl` (RFC 8904).
#
# Guess: properties of a type that the library does not know are kept, as RFC 8601 section 2.2 leaves types open; or the field is refused.
# Seen: the properties of type `dns`, which RFC 8904 registers, vanish; what is left is printed as if it were the whole field.
# So the same goes for any other new type. Whoever writes the field anew through the library loses which list vouched for the client.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check authres==1.2.0

"$work/venv/bin/python" - >"$work/seen" <<'PYTHON'
import authres

for field in (
    "Authentication-Results: mx.example; dnswl=pass dns.zone=list.example dns.sec=yes policy.ip=127.0.10.1",
    "Authentication-Results: mx.example; dkim=pass header.d=d.example",
):
    print(authres.AuthenticationResultsHeader.parse(field))
PYTHON

cat "$work/seen"
diff "$work/seen" - <<'SEEN'
Authentication-Results: mx.example; dnswl=pass policy.ip=127.0.10.1
Authentication-Results: mx.example; dkim=pass header.d=d.example
SEEN
