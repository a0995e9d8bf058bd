#!/usr/bin/env bash
# postal-mime 4.0.0 (npm) on the addresses in From and To.
#
# Guess: an address whose domain is an IPv6 literal (RFC 5321 section 4.1.3, RFC 5322 section 3.4.1) is an address, like one with an
# IPv4 literal; and a quoted local part keeps the quotes that it cannot be written without.
# Seen: the colon in the literal is taken for the colon of a group: there is no address, but a group called "ann@[IPv6" with somebody in
# it who is called "1]". The IPv4 literal is fine. The quoted local part comes without quotes, `a b@d.example`, which is no address.
# nodemailer 10.6.1 reads both as they stand.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >npm.log
npm install --silent --no-audit --no-fund postal-mime@4.0.0 nodemailer@10.6.1 >>npm.log

cat >look.mjs <<'JAVASCRIPT'
import nodemailer from 'nodemailer/lib/addressparser/index.js';
import { addressParser } from 'postal-mime';

for (const address of ['ann@[192.0.2.1]', 'ann@[IPv6:2001:db8::1]', '"a b"@d.example']) {
  console.log(`${address}: postal-mime ${JSON.stringify(addressParser(address))}, nodemailer ${JSON.stringify(nodemailer(address))}`);
}
JAVASCRIPT
node look.mjs >seen

cat seen
diff seen - <<'SEEN'
ann@[192.0.2.1]: postal-mime [{"address":"ann@[192.0.2.1]","name":""}], nodemailer [{"address":"ann@[192.0.2.1]","name":""}]
ann@[IPv6:2001:db8::1]: postal-mime [{"name":"ann@[IPv6","group":[{"address":"","name":"1]"}]}], nodemailer [{"address":"ann@[IPv6:2001:db8::1]","name":""}]
"a b"@d.example: postal-mime [{"address":"a b@d.example","name":""}], nodemailer [{"address":"\"a b\"@d.example","name":""}]
SEEN
