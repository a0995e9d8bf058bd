#!/usr/bin/env bash
# parsedmarc 11.1.0 (PyPI) on a DMARC aggregate report whose names carry a namespace prefix.
#
# Guess: `<feedback xmlns="urn:x">` and `<d:feedback xmlns:d="urn:x">` are the same element (Namespaces in XML 1.0, section 6), and the
# namespace of reports, urn:ietf:params:xml:ns:dmarc-2.0, is taken in either form. Many XML writers choose a prefix by themselves.
# Seen: the report with a prefix has "Missing field: 'feedback'". The names are compared as text, prefix and all.
# What follows for a writer of reports: the default namespace, and no library that makes up prefixes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check parsedmarc==11.1.0

"$work/venv/bin/python" - >"$work/seen" <<'PYTHON'
import xml.etree.ElementTree as tree

import parsedmarc

REPORT = """<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0"><version>1.0</version>
<report_metadata><org_name>Receiver</org_name><email>dmarc@r.example</email><report_id>1</report_id>
<date_range><begin>1700000000</begin><end>1700086399</end></date_range></report_metadata>
<policy_published><domain>d.example</domain><p>none</p></policy_published>
<record><row><source_ip>192.0.2.1</source_ip><count>2</count>
<policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>pass</spf></policy_evaluated></row>
<identifiers><header_from>d.example</header_from></identifiers>
<auth_results><spf><domain>d.example</domain><result>pass</result></spf></auth_results></record></feedback>"""
prefixed = tree.tostring(tree.fromstring(REPORT), encoding="unicode")
for report in (REPORT, prefixed):
    try:
        seen = f"{parsedmarc.parse_aggregate_report_xml(report, offline=True)['records'][0]['count']} messages"
    except parsedmarc.InvalidAggregateReport as error:
        seen = str(error)
    print(f"{report.split('>')[0]}>: {seen}")
PYTHON

cat "$work/seen"
diff "$work/seen" - <<'SEEN'
<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0">: 2 messages
<ns0:feedback xmlns:ns0="urn:ietf:params:xml:ns:dmarc-2.0">: Missing field: 'feedback'
SEEN
