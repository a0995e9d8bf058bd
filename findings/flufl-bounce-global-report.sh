#!/usr/bin/env bash
# flufl.bounce 6.0.0 (PyPI), the bounce reader of Mailman 3, on reports for addresses beyond ASCII (RFC 6533).
#
# Guess: a failed recipient is found in `message/global-delivery-status` as in `message/delivery-status`, at least where it is
# an ordinary address of type rfc822; and the address type `utf-8` is read too.
# Seen: nobody is found in a global report, whatever its address type, nor behind the type `utf-8` in an ordinary one. Python
# 3.11's parser, below it, knows blocks of fields only in `message/delivery-status`; the global part comes as one nested message
# whose header is the first block and whose body is the rest. A list goes on writing to such an address.
# What follows for a relay: the global form only where a field cannot be written in ASCII.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check flufl.bounce==6.0.0

"$work/venv/bin/python" - >"$work/seen" <<'PYTHON'
import email
from flufl.bounce import scan_message

REPORT = """From: MAILER-DAEMON@relay.example
To: sender@list.example
Subject: Undelivered
MIME-Version: 1.0
Content-Type: multipart/report; report-type=%sdelivery-status; boundary=B

--B
Content-Type: text/plain

The message could not be delivered.
--B
Content-Type: message/%sdelivery-status

Reporting-MTA: dns; relay.example

Final-Recipient: %s; ann@d.example
Action: failed
Status: 5.1.1

--B--
"""
for form in ("", "global-"):
    for kind in ("rfc822", "utf-8"):
        message = email.message_from_string(REPORT % (form, form, kind))
        blocks = len(message.get_payload()[1].get_payload())
        found = sorted(address.decode() for address in scan_message(message))
        print(f"message/{form}delivery-status, {kind}: {blocks} block(s), found {found}")
PYTHON

cat "$work/seen"
diff "$work/seen" - <<'SEEN'
message/delivery-status, rfc822: 2 block(s), found ['ann@d.example']
message/delivery-status, utf-8: 2 block(s), found []
message/global-delivery-status, rfc822: 1 block(s), found []
message/global-delivery-status, utf-8: 1 block(s), found []
SEEN
