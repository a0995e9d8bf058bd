#!/usr/bin/env bash
# eml_parser 4.4.0 (PyPI) on the Received fields of Postfix and Exim.
#
# Guess: the parts of a Received field (RFC 5321 section 4.4: from, by, via, with, id, for) come out each under its name, and the id as
# the relay wrote it, so that the relay's log can be searched for it.
# Seen: there is no id. It is the end of what is called "with", together with the comments between, and all of it is in small letters.
# Ids of Exim, and the long ones of Postfix, tell capital letters from small ones: what comes out is the id of no message.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check eml_parser==4.4.0

"$work/venv/bin/python" - >"$work/seen" <<'PYTHON'
import eml_parser

REST = "From: ann@a.example\r\nSubject: s\r\nDate: Mon, 2 Nov 2026 10:00:00 +0000\r\n\r\nHello\r\n"
for name, field in (
    ("Postfix", "from a.example (a.example [192.0.2.1]) by b.example (Postfix) with ESMTPS id 4Rk7Xb2MZqz9sV"),
    ("Exim", "from [192.0.2.9] (helo=pc) by b.example with esmtpsa (TLS1.3) (Exim 4.98) id 1tBcDe-00000000AbC-1xYz"),
):
    message = f"Received: {field}; Mon, 2 Nov 2026 10:00:00 +0000\r\n{REST}"
    hop = eml_parser.EmlParser().decode_email_bytes(message.encode())["header"]["received"][0]
    print(f"{name}: id {hop.get('id')}, with {hop['with']!r}")
PYTHON

cat "$work/seen"
diff "$work/seen" - <<'SEEN'
Postfix: id None, with 'esmtps id 4rk7xb2mzqz9sv'
Exim: id None, with 'esmtpsa (tls1.3) (exim 4.98) id 1tbcde-00000000abc-1xyz'
SEEN
