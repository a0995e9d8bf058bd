#!/usr/bin/env bash
# What nodemailer 10.6.1 (npm) writes, read by letterparser 0.1.8, eml-parse-js 1.1.15, eml-format 0.6.1 and mailparser 3.14.2 (npm).
#
# Guess: a reader takes the fields apart first and decodes what is left of a name then (RFC 2047 section 6.2), so a comma in an encoded name
# stays in the name; and all that is in a subject comes out, whichever part of it is encoded, with `_` as the blank that it stands for
# (section 4.2).
# Seen: the way in which address books write names, "Müller, Ann", makes two people of one for letterparser and eml-parse-js; the first has
# a surname for an address, or none. The same name without the umlaut is one, as it comes in quotes. eml-format gives the first encoded
# word alone, and leaves the `_` in it, so that a longer subject ends within a word. mailparser reads all of it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >npm.log
npm install --silent --no-audit --no-fund nodemailer@10.6.1 letterparser@0.1.8 eml-parse-js@1.1.15 eml-format@0.6.1 mailparser@3.14.2 >>npm.log

cat >look.mjs <<'JAVASCRIPT'
import { readEml } from 'eml-parse-js';
import emlFormat from 'eml-format';
import { extract } from 'letterparser';
import mailparser from 'mailparser';
import nodemailer from 'nodemailer';

const writer = nodemailer.createTransport({ streamTransport: true, buffer: true });
for (const [name, subject] of [['Muller, Ann', 'Re: Grüsse'], ['Müller, Ann', 'Re: Grüsse an alle, die heute da waren, und bis bald']]) {
  const { message } = await writer.sendMail({ from: 'bob@b.example', to: { name, address: 'ann@a.example' }, subject, text: 'Hello' });
  const text = message.toString();
  const field = (which) => text.match(new RegExp(`^${which}: (.*(\r\n .*)*)`, 'm'))[1].replace(/\r\n/g, '');
  const list = (people) => [people].flat().map((one) => `${one.name ?? ''} <${one.address ?? one.email}>`).join(' and ');
  const show = (reader, to, title) => console.log(`  ${reader}: ${list(to)}; ${title}`);
  console.log(`${field('To')}; ${field('Subject')}`);
  const letter = extract(text);
  show('letterparser', letter.to, letter.subject);
  const eml = readEml(text);
  show('eml-parse-js', eml.to, eml.subject);
  emlFormat.read(text, (error, { to, subject: title }) => show('eml-format', to, title));
  const parsed = await mailparser.simpleParser(text);
  show('mailparser', parsed.to.value, parsed.subject);
}
JAVASCRIPT
node look.mjs >seen 2>warnings

cat seen
diff seen - <<'SEEN'
"Muller, Ann" <ann@a.example>; =?UTF-8?Q?Re=3A_Gr=C3=BCsse?=
  letterparser: Muller, Ann <ann@a.example>; Re: Grüsse
  eml-parse-js: Muller, Ann <ann@a.example>; Re: Grüsse
  eml-format: Muller, Ann <ann@a.example>; Re:_Grüsse
  mailparser: Muller, Ann <ann@a.example>; Re: Grüsse
=?UTF-8?Q?M=C3=BCller=2C_Ann?= <ann@a.example>; =?UTF-8?Q?Re=3A_Gr=C3=BCsse_an_alle=2C_die_heute_d?= =?UTF-8?Q?a_waren=2C_und_bis_bald?=
  letterparser:  <Müller> and Ann <ann@a.example>; Re: Grüsse an alle, die heute da waren, und bis bald
  eml-parse-js: Müller <> and Ann <ann@a.example>; Re: Grüsse an alle, die heute da waren, und bis bald
  eml-format: Müller,_Ann <ann@a.example>; Re:_Grüsse_an_alle,_die_heute_d
  mailparser: Müller, Ann <ann@a.example>; Re: Grüsse an alle, die heute da waren, und bis bald
SEEN
