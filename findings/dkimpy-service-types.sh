#!/usr/bin/env bash
# dkimpy 1.1.8 (PyPI) on a DKIM key record that lists more than one service type.
#
# Guess: `s=` is a list with colons; a verifier of mail wants `email` or `*` in it and ignores the types that it does not know
# (RFC 6376 section 3.6.1). So all records below serve for mail. `tlsrpt` is the other type in the registry (RFC 8460 section 3).
# Seen: the whole value is compared with one word. A key for mail and for TLS reports, `s=email:tlsrpt`, verifies neither, and so
# does the list with a type of tomorrow. A domain that wants one key for both has to leave `s=` out.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check dkimpy==1.1.8 dnspython==2.9.2 cryptography==50.0.2

"$work/venv/bin/python" - >"$work/seen" <<'PYTHON'
import base64
import logging

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

logging.disable()
key = rsa.generate_private_key(65537, 2048)
private = key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
)
public = base64.b64encode(
    key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
).decode()
message = b"From: ann@d.example\r\nSubject: x\r\n\r\nhello\r\n"
signed = dkim.sign(message, b"s", b"d.example", private) + message
for services in ("", "s=email; ", "s=*; ", "s=email:tlsrpt; ", "s=email:new; ", "s=*:new; "):
    record = f"v=DKIM1; {services}p={public}".encode()
    as_mail = dkim.verify(signed, dnsfunc=lambda *_, **__: record)
    as_report = dkim.verify(signed, dnsfunc=lambda *_, **__: record, tlsrpt=True)
    print(f"v=DKIM1; {services}p=...: as mail {as_mail}, as TLS report {as_report}")
PYTHON

cat "$work/seen"
diff "$work/seen" - <<'SEEN'
v=DKIM1; p=...: as mail True, as TLS report True
v=DKIM1; s=email; p=...: as mail True, as TLS report True
v=DKIM1; s=*; p=...: as mail True, as TLS report True
v=DKIM1; s=email:tlsrpt; p=...: as mail False, as TLS report False
v=DKIM1; s=email:new; p=...: as mail False, as TLS report False
v=DKIM1; s=*:new; p=...: as mail False, as TLS report False
SEEN
