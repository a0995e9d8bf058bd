#!/usr/bin/env bash
# nsyslog-parser 0.10.1 (npm) on structured data of syslog (RFC 5424) whose value holds `=`, and on what its grammar allows besides.
#
# Guess: a value in quotes is one value; only `"`, `\` and `]` are escaped in it (section 6.3.3), so `=` and spaces stand there as they are.
# Seen: a second `=` inside the quotes starts a parameter that nobody sent, and the value loses its end. Text as mail logs have it, `from=<> size=9`,
# comes apart. An element without parameters, or an escaped quote, and the whole structured data becomes part of the message.
# Who sends key=value text to such a reader puts it into MSG, where it stays whole.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >npm.log
npm install --silent --no-audit --no-fund nsyslog-parser@0.10.1 >>npm.log

cat >look.js <<'JAVASCRIPT'
const parse = require('nsyslog-parser');

for (const data of ['[a@32473 k="one two" j="3"]', '[a@32473 k="from=<> size=9" j="3"]', '[a@32473 k="a \\"b\\""]', '[a@32473]']) {
  const read = parse(`<22>1 2003-10-11T22:14:15.003Z mx.example relay 7 ID1 ${data} text`);
  console.log(`${data}: ${JSON.stringify(read.structuredData)}, message ${JSON.stringify(read.message)}`);
}
JAVASCRIPT
node look.js >seen

cat seen
diff seen - <<'SEEN'
[a@32473 k="one two" j="3"]: [{"$id":"a@32473","k":"one two","j":"3"}], message "text"
[a@32473 k="from=<> size=9" j="3"]: [{"$id":"a@32473","k":"from=<>","size":"9","j":"3"}], message "text"
[a@32473 k="a \"b\""]: [], message "[a@32473 k=\"a \\\"b\\\"\"] text"
[a@32473]: [], message "[a@32473] text"
SEEN
