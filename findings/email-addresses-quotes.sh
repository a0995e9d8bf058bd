#!/usr/bin/env bash
# email-addresses 5.0.0 (npm), which reads lists of addresses by RFC 5322.
#
# Guess: what it calls the address of a mailbox can be given to a server: a local part that needs its quotes has them.
# Seen: they are taken off, of the address as of the local part. The address is none any more, and reading it again finds nothing.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --prefix "$work" email-addresses@5.0.0 >/dev/null

node - >"$work/seen" <<'NODE'
const { parseOneAddress } = require('email-addresses');
for (const text of ['Ann <ann@a.example>', 'Ann <"ann lee"@a.example>', 'Ann <"ann."@a.example>']) {
  const one = parseOneAddress(text);
  const again = parseOneAddress(one.address);
  console.log(`${text}: address ${one.address}, local ${one.local}, read again: ${again && again.address}`);
}
NODE

cat "$work/seen"
diff "$work/seen" - <<'SEEN'
Ann <ann@a.example>: address ann@a.example, local ann, read again: ann@a.example
Ann <"ann lee"@a.example>: address ann lee@a.example, local ann lee, read again: null
Ann <"ann."@a.example>: address ann.@a.example, local ann., read again: null
SEEN
