#!/usr/bin/env bash
# parsedmarc 11.1.0 (PyPI) on the MX patterns of a report of SMTP TLS reporting.
#
# Guess: `mx-host`, in which RFC 8460 (section 4.4) has a report say for which hosts the policy of the domain is, comes out with the rest
# of the policy.
# Seen: it is left out without a word. What is read is `mx-host-pattern`, as a draft named it: whoever looks for the hosts that a failing
# policy left out finds no list in a report that follows the RFC.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check parsedmarc==11.1.0

"$work/venv/bin/python" - >"$work/seen" <<'PYTHON'
import json

import parsedmarc

for name in ("mx-host", "mx-host-pattern"):
    report = {
        "organization-name": "Sender",
        "date-range": {"start-datetime": "2026-11-01T00:00:00Z", "end-datetime": "2026-11-01T23:59:59Z"},
        "contact-info": "tls@s.example",
        "report-id": "1",
        "policies": [{
            "policy": {
                "policy-type": "sts",
                "policy-string": ["version: STSv1", "mode: enforce", "mx: *.d.example", "max_age: 86400"],
                "policy-domain": "d.example",
                name: ["*.d.example"],
            },
            "summary": {"total-successful-session-count": 1, "total-failure-session-count": 0},
        }],
    }
    policy = parsedmarc.parse_smtp_tls_report_json(json.dumps(report))["policies"][0]
    print(f"{name}: {sorted(key for key in policy if 'mx' in key)}")
PYTHON

cat "$work/seen"
diff "$work/seen" - <<'SEEN'
mx-host: []
mx-host-pattern: ['mx_host_patterns']
SEEN
