#!/usr/bin/env bash
# ldapts 8.2.0 (npm; 9.2.0, which wants Node 22, does the same) on filters for LDAP searches, beside ldap3 2.9.1 (PyPI).
#
# Guess: the examples of RFC 4515 section 4 go out as the text there says, so `(sn=Lu\c4\8di\c4\87)` asks for the octets c4 8d and c4 87, a
# surname in UTF-8; and an object of Active Directory is found by the octets of its objectGUID, which the library's own `escapeFilter`
# writes into a filter.
# Seen: each escaped octet is taken for a character of Latin-1, which is then written in UTF-8: c3 84 c2 8d. The search finds nobody and there
# is no error, while the name written out is found, and so are all identifiers that happen to be ASCII. What the library's one half
# escapes its other half does not read back. The last example of the RFC, whose attribute is an object identifier, is a syntax error.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >npm.log
npm install --silent --no-audit --no-fund ldapts@8.2.0 >>npm.log
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check ldap3==2.9.1

cat >look.mjs <<'JAVASCRIPT'
import { BerWriter, escapeFilter, FilterParser } from 'ldapts';

const text = process.argv[2] ?? escapeFilter`(objectGUID=${Buffer.from([0xc4, 0x8d, 0xff])})`;
const writer = new BerWriter();
try {
  FilterParser.parseString(text).write(writer);
  console.log(`${text}: ${writer.buffer.toString('hex')}`);
} catch (error) {
  console.log(`${text}: ${error.name}`);
}
JAVASCRIPT
cat >look.py <<'PYTHON'
import subprocess

from ldap3.operation.search import compile_filter, parse_filter
from pyasn1.codec.ber import encoder

for text in (["(cn=Babs Jensen)"], [r"(sn=Lu\c4\8di\c4\87)"], ["(sn=Lučić)"], [], [r"(1.3.6.1.4.1.1466.0=\04\02\48\69)"]):
    seen = subprocess.run(["node", "look.mjs", *text], capture_output=True, text=True, check=True).stdout.strip()
    print(f"ldapts {seen}")
    text = seen.rpartition(": ")[0]
    print(f"ldap3  {text}: {encoder.encode(compile_filter(parse_filter(text, None, False, True, None, False).elements[0])).hex()}")
PYTHON
venv/bin/python look.py >seen

cat seen
diff seen - <<'SEEN'
ldapts (cn=Babs Jensen): a3110402636e040b42616273204a656e73656e
ldap3  (cn=Babs Jensen): a3110402636e040b42616273204a656e73656e
ldapts (sn=Lu\c4\8di\c4\87): a3110402736e040b4c75c384c28d69c384c287
ldap3  (sn=Lu\c4\8di\c4\87): a30d0402736e04074c75c48d69c487
ldapts (sn=Lučić): a30d0402736e04074c75c48d69c487
ldap3  (sn=Lučić): a30d0402736e04074c75c48d69c487
ldapts (objectGUID=\c4\8d\ff): a314040a6f626a656374475549440406c384c28dc3bf
ldap3  (objectGUID=\c4\8d\ff): a311040a6f626a656374475549440403c48dff
ldapts (1.3.6.1.4.1.1466.0=\04\02\48\69): Error
ldap3  (1.3.6.1.4.1.1466.0=\04\02\48\69): a31a0412312e332e362e312e342e312e313436362e30040404024869
SEEN
