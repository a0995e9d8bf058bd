#!/usr/bin/env bash
# smtp-server 3.21.6 (npm) told of addresses by nodemailer 10.6.1 (npm), which is by the same makers.
#
# Guess: what nodemailer sends smtp-server takes, so a local part in quotes with a blank in it (RFC 5321 section 4.1.2: qtextSMTP has %d32) is
# an address; and what it hands to the program is the address that was in the command.
# Seen: nodemailer sends quotes and blank as they are, and smtp-server says "501 Error: Bad recipient address syntax"; a quoted local part
# without a blank is fine. And where nodemailer writes the domain as A-labels, as it does for every server, the program gets U-labels:
# what came without SMTPUTF8 is handed on with an address that can be sent on only with it, or with a conversion of one's own.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >npm.log
npm install --silent --no-audit --no-fund smtp-server@3.21.6 nodemailer@10.6.1 >>npm.log

cat >look.js <<'JAVASCRIPT'
const nodemailer = require('nodemailer');
const { SMTPServer } = require('smtp-server');

const commands = [];
let handed;
const server = new SMTPServer({
  disabledCommands: ['AUTH', 'STARTTLS'],
  logger: { ...Object.fromEntries(['trace', 'info', 'warn', 'error', 'fatal', 'level'].map((name) => [name, () => {}])),
    debug: (_, text, command) => commands.push(String(command)) },
  onRcptTo(address, session, callback) {
    handed = address.address;
    callback();
  },
  onData(stream, session, callback) {
    stream.resume();
    stream.on('end', callback);
  },
});
server.listen(0, '127.0.0.1', async () => {
  const transport = nodemailer.createTransport({ host: '127.0.0.1', port: server.server.address().port });
  for (const to of ['ann@a.example', '"ann."@a.example', '"ann lee"@a.example', 'ann@bücher.example']) {
    handed = 'nothing';
    const reply = await transport.sendMail({ envelope: { from: 'bob@b.example', to }, text: 'Hello' }).catch((error) => error);
    const command = commands.filter((line) => /^RCPT/.test(line)).pop();
    console.log(`${to}: ${command}, ${(reply.response ?? '').slice(0, 3)}, the program gets ${handed}`);
  }
  server.close();
});
JAVASCRIPT
node look.js >seen

cat seen
diff seen - <<'SEEN'
ann@a.example: RCPT TO:<ann@a.example>, 250, the program gets ann@a.example
"ann."@a.example: RCPT TO:<"ann."@a.example>, 250, the program gets "ann."@a.example
"ann lee"@a.example: RCPT TO:<"ann lee"@a.example>, 501, the program gets nothing
ann@bücher.example: RCPT TO:<ann@xn--bcher-kva.example>, 250, the program gets ann@bücher.example
SEEN
