#!/usr/bin/env bash
# proxy-protocol-js 4.0.6 (npm) on version 1 headers of the PROXY protocol for a connection of unknown kind.
#
# Guess: `PROXY UNKNOWN` and nothing behind it is taken; the protocol's text has proxies send that form and receivers accept it.
# Seen: it is an error; only the form with addresses and ports behind UNKNOWN, which a receiver has to ignore, is taken, and
# these addresses are given to the caller as if they meant something.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >npm.log
npm install --silent --no-audit --no-fund proxy-protocol-js@4.0.6 >>npm.log

cat >look.mjs <<'JAVASCRIPT'
import proxyProtocol from 'proxy-protocol-js';

for (const line of ['PROXY UNKNOWN\r\n', 'PROXY UNKNOWN 192.0.2.1 192.0.2.2 1000 25\r\n', 'PROXY TCP4 192.0.2.1 192.0.2.2 1000 25\r\n']) {
  let seen;
  try {
    const header = proxyProtocol.V1ProxyProtocol.parse(line);
    seen = `${header.inetProtocol} from ${header.source.ipAddress}`;
  } catch (error) {
    seen = `error: ${error.message}`;
  }
  console.log(`${line.trim()} -> ${seen}`);
}
JAVASCRIPT
node look.mjs >seen

cat seen
diff seen - <<'SEEN'
PROXY UNKNOWN -> error: given data isn't suitable for V1 PROXY protocols definition
PROXY UNKNOWN 192.0.2.1 192.0.2.2 1000 25 -> UNKNOWN from 192.0.2.1
PROXY TCP4 192.0.2.1 192.0.2.2 1000 25 -> TCP4 from 192.0.2.1
SEEN
