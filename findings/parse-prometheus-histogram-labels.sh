#!/usr/bin/env bash
# parse-prometheus-text-format 1.1.1 (npm) on a histogram that has a label beside `le`.
#
# Guess: one entry for each set of labels, with its buckets, sum and count, as the same reader gives for counters and gauges;
# in the text format a histogram may have any labels beside `le`.
# Seen: with labels there is one entry without labels; sum and count are gone, and the buckets of the sets lie over each other, so that the
# last one is what is left. Without labels all is there. Nothing is said.
# In a relay's metrics that is each time or length by listener, by scanner or by next hop.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >npm.log
npm install --silent --no-audit --no-fund parse-prometheus-text-format@1.1.1 >>npm.log

cat >look.js <<'JAVASCRIPT'
const library = require('parse-prometheus-text-format');
const parse = library.default || library;

const series = (label, low, all) => `t_bucket{${label ? `${label},` : ''}le="1"} ${low}
t_bucket{${label ? `${label},` : ''}le="+Inf"} ${all}
t_sum${label ? `{${label}}` : ''} ${all * 2}
t_count${label ? `{${label}}` : ''} ${all}
`;
for (const text of [series('', 1, 2), series('to="a"', 1, 2) + series('to="b"', 30, 40)]) {
  console.log(JSON.stringify(parse(`# TYPE t histogram\n${text}`)[0].metrics));
}
JAVASCRIPT
node look.js >seen

cat seen
diff seen - <<'SEEN'
[{"buckets":{"1":"1","+Inf":"2"},"count":"2","sum":"4"}]
[{"buckets":{"1":"30","+Inf":"40"}}]
SEEN
