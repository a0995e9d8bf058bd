#!/usr/bin/env bash
# parsedmarc 11.1.0 (PyPI) on a DMARC aggregate report about bounces, whose envelope sender is empty.
#
# Guess: an empty `envelope_from` (RFC 7489 appendix C has the element in every record; a bounce has no domain to put there) comes out
# empty, and a DKIM result without the optional `selector` comes out without one.
# Seen: the domain of the last SPF result is put in its place, although that result says that it is about HELO. The name by which
# a server greets is counted among the senders, and bounces cannot be told from mail any more. A missing selector becomes the word
# "none", which is a selector that somebody may well have.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check parsedmarc==11.1.0

"$work/venv/bin/python" - >"$work/seen" <<'PYTHON'
import parsedmarc

REPORT = """<?xml version="1.0"?>
<feedback><version>1.0</version>
<report_metadata><org_name>Receiver</org_name><email>dmarc@r.example</email><report_id>1</report_id>
<date_range><begin>1700000000</begin><end>1700086399</end></date_range></report_metadata>
<policy_published><domain>d.example</domain><p>none</p><pct>100</pct></policy_published>
<record><row><source_ip>192.0.2.1</source_ip><count>2</count>
<policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>pass</spf></policy_evaluated></row>
<identifiers>%s<header_from>d.example</header_from></identifiers>
<auth_results><dkim><domain>d.example</domain><result>pass</result></dkim>
<spf><domain>mx.d.example</domain><scope>helo</scope><result>pass</result></spf></auth_results></record></feedback>"""
for sender in ("<envelope_from>b.d.example</envelope_from>", "<envelope_from/>"):
    record = parsedmarc.parse_aggregate_report_xml(REPORT % sender, offline=True)["records"][0]
    print(f"{sender}: envelope_from {record['identifiers']['envelope_from']!r}")
print(f"no selector: {record['auth_results']['dkim'][0]['selector']!r}")
PYTHON

cat "$work/seen"
diff "$work/seen" - <<'SEEN'
<envelope_from>b.d.example</envelope_from>: envelope_from 'b.d.example'
<envelope_from/>: envelope_from 'mx.d.example'
no selector: 'none'
SEEN
