#!/usr/bin/env bash
# mailparser 3.14.2 (npm) on the machine-readable part of a delivery report.
#
# Guess: the part is an attachment in both forms, or text in both.
# Seen: `message/delivery-status` is appended to the text of the message and is no attachment; `message/global-delivery-status`
# (RFC 6533) is an attachment and not in the text. Whoever looks for the part among the attachments finds it only in
# reports for addresses beyond ASCII.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >npm.log
npm install --silent --no-audit --no-fund mailparser@3.14.2 >>npm.log

cat >look.mjs <<'JAVASCRIPT'
import { simpleParser } from 'mailparser';

const report = (form) => [
  'From: MAILER-DAEMON@relay.example',
  'MIME-Version: 1.0',
  `Content-Type: multipart/report; report-type=${form}delivery-status; boundary=B`,
  '', '--B', 'Content-Type: text/plain', '', 'The message could not be delivered.',
  '--B', `Content-Type: message/${form}delivery-status`, '',
  'Reporting-MTA: dns; relay.example', '',
  'Final-Recipient: rfc822; ann@d.example', 'Action: failed', 'Status: 5.1.1', '', '--B--', '',
].join('\r\n');
for (const form of ['', 'global-']) {
  const message = await simpleParser(report(form));
  const types = message.attachments.map((attachment) => attachment.contentType);
  console.log(`message/${form}delivery-status: in the text ${message.text.includes('Final-Recipient')}, attachments [${types}]`);
}
JAVASCRIPT
node look.mjs >seen

cat seen
diff seen - <<'SEEN'
message/delivery-status: in the text true, attachments []
message/global-delivery-status: in the text false, attachments [message/global-delivery-status]
SEEN
