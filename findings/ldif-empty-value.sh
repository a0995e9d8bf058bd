#!/usr/bin/env bash
# ldif 0.5.1 (npm) on what directories export.
#
# Guess: an attribute without a value, which is how `ldapsearch -A` writes every attribute and how an empty string is written
# (RFC 2849: what follows the colon may be nothing), is read as an empty value; and a comment that is folded like any other line
# (RFC 2849 note 2 says that comments may be) is passed over.
# Seen: the empty value is a TypeError once somebody asks for the entry, and the folded comment a SyntaxError that costs the whole file.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --prefix "$work" ldif@0.5.1 >/dev/null

node - >"$work/seen" <<'NODE'
const ldif = require('ldif');
const entry = 'dn: uid=ann,dc=example\nobjectClass: person\n';
for (const [name, line] of [
  ['a value', 'description: x\n'],
  ['a folded value', 'description: x\n y\n'],
  ['no value', 'description:\n'],
  ['a comment', '# one\n'],
  ['a folded comment', '# one\n more\n'],
]) {
  try {
    const all = ldif.parse(entry + line).entries.map((one) => one.toObject({}).attributes);
    console.log(`${name}: ${JSON.stringify(all)}`);
  } catch (error) {
    console.log(`${name}: ${error.name}`);
  }
}
NODE

cat "$work/seen"
diff "$work/seen" - <<'SEEN'
a value: [{"objectClass":"person","description":"x"}]
a folded value: [{"objectClass":"person","description":"xy"}]
no value: TypeError
a comment: [{"objectClass":"person"}]
a folded comment: SyntaxError
SEEN
