#!/usr/bin/env bash
# tlsrpt-reporter 0.6.0 (PyPI), which writes TLS reports for Postfix, on the records that say where they go.
#
# Guess: blanks round the comma between two addresses, and a field that it does not know before `rua`, make no difference: RFC 8460 section 3
# has `*WSP "," *WSP` between addresses, and `tlsrpt-field = tlsrpt-rua / tlsrpt-extension`, any number, in any order.
# Seen: either record is an error, and no report goes to any of its addresses, the first included. checkdmarc 6.0.4 reads all of them.
# What follows for whoever wants reports: no blank behind the comma, and nothing before `rua`.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check tlsrpt-reporter==0.6.0 checkdmarc==6.0.4

"$work/venv/bin/python" - >"$work/seen" <<'PYTHON'
import logging

from checkdmarc.smtp_tls_reporting import parse_smtp_tls_reporting_record
from tlsrpt_reporter.mapping import DestinationMap
from tlsrpt_reporter.utility import parse_tlsrpt_record

for fields in (
    "rua=mailto:ann@a.example,https://a.example/tls",
    "rua=mailto:ann@a.example, https://a.example/tls",
    "rua=mailto:ann@a.example; new=1",
    "new=1; rua=mailto:ann@a.example",
):
    record = f"v=TLSRPTv1; {fields}"
    try:
        # What its daemon does with a record before it sends.
        seen = DestinationMap().map_destination("a.example", parse_tlsrpt_record(record), logging)
    except Exception as error:
        seen = type(error).__name__
    print(f"{fields}: {seen}; checkdmarc {parse_smtp_tls_reporting_record(record)['tags']['rua']['value']}")
PYTHON

cat "$work/seen"
diff "$work/seen" - <<'SEEN'
rua=mailto:ann@a.example,https://a.example/tls: ['mailto:ann@a.example', 'https://a.example/tls']; checkdmarc ['mailto:ann@a.example', 'https://a.example/tls']
rua=mailto:ann@a.example, https://a.example/tls: InvalidDestinationScheme; checkdmarc ['mailto:ann@a.example', 'https://a.example/tls']
rua=mailto:ann@a.example; new=1: ['mailto:ann@a.example']; checkdmarc ['mailto:ann@a.example']
new=1; rua=mailto:ann@a.example: MalformedTlsrptRecordException; checkdmarc ['mailto:ann@a.example']
SEEN
