#!/usr/bin/env bash
# syslog-rfc5424-parser 0.3.2 (PyPI) and glossy 0.1.7 (npm) on structured data of syslog (RFC 5424).
#
# Guess: a value comes without the backslashes that the sender had to add (section 6.3.3), and a parameter that stands twice, as `ip` of
# the element `origin` may (section 7.2.1), comes twice.
# Seen: the Python reader leaves the backslashes in, so a quoted address is no longer the address; the other one takes them away.
# Both keep only the last of two parameters of one name, because both give a map.
# What follows for a relay: one parameter per name, lists in one value, and nothing that must be compared in a value that needs escapes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check syslog-rfc5424-parser==0.3.2
cd "$work"
npm init -y >npm.log
npm install --silent --no-audit --no-fund glossy@0.1.7 >>npm.log

cat >line <<'LINE'
<22>1 2003-10-11T22:14:15.003Z mx.example relay 7 ID1 [origin ip="192.0.2.1" ip="192.0.2.2"][a@32473 to="\"a b\"@d.example"] text
LINE
cat >look.py <<'PYTHON'
from syslog_rfc5424_parser import SyslogMessage

data = SyslogMessage.parse(open("line").read().rstrip("\n")).sd
print(f"syslog-rfc5424-parser: ip {data['origin']['ip']}, to {data['a@32473']['to']}")
PYTHON
venv/bin/python look.py >seen
cat >look.js <<'JAVASCRIPT'
const { Parse } = require('glossy');

const data = Parse.parse(require('fs').readFileSync('line', 'utf8').trimEnd()).structuredData;
console.log(`glossy: ip ${data.origin.ip}, to ${data['a@32473'].to}`);
JAVASCRIPT
node look.js >>seen

cat seen
diff seen - <<'SEEN'
syslog-rfc5424-parser: ip 192.0.2.2, to \"a b\"@d.example
glossy: ip 192.0.2.2, to "a b"@d.example
SEEN
