#!/usr/bin/env bash
# smtplib (Python 3.11) and smtp-server 3.21.6 (npm), aiosmtpd 1.4.6 (PyPI): LMTP for two recipients, one of whom has no room.
#
# Guess: after the content the server answers once for each recipient that it took (RFC 2033 section 4.2), and smtplib, which gives back who was
# refused at RCPT, gives back who was refused then.
# Seen: smtplib.LMTP reads one reply. If the first recipient's is a 250 all count as served, and the reply about the second is taken for the
# answer to MAIL of the next message, which fails for a mailbox that it does not go to; if the first is refused, so is Bob, who has the
# message. aiosmtpd's LMTP class, for its part, sends one reply for two recipients: a client that counts takes the answer to QUIT for
# Cid's. The two suit each other, so a test of one against the other passes. Both makers know it (open in their trackers), neither manual says it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >npm.log
npm install --silent --no-audit --no-fund smtp-server@3.21.6 >>npm.log
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check aiosmtpd==1.4.6

cat >server.js <<'JAVASCRIPT'
const { SMTPServer } = require('smtp-server');

const full = Object.assign(new Error('mailbox full'), { responseCode: 552 });
const server = new SMTPServer({
  lmtp: true,
  disabledCommands: ['AUTH', 'STARTTLS'],
  onData(stream, session, callback) {
    stream.resume();
    stream.on('end', () => callback(null, session.envelope.rcptTo.map(({ address }) => (address.startsWith('full') ? full : 'kept'))));
  },
});
server.on('error', () => {});
server.listen(0, '127.0.0.1', () => console.log(server.server.address().port));
JAVASCRIPT
cat >look.py <<'PYTHON'
import asyncio
import smtplib
import socket
import subprocess

from aiosmtpd.lmtp import LMTP

TEXT = "Subject: s\r\n\r\nHello"


def send(client, *recipients):
    try:
        return f"refused {client.sendmail('ann@a.example', list(recipients), TEXT)}"
    except smtplib.SMTPException as error:
        return f"{type(error).__name__} {error.smtp_code} {error.smtp_error.decode()}"


with subprocess.Popen(["node", "server.js"], stdout=subprocess.PIPE, text=True) as server:
    port = int(server.stdout.readline())
    for recipients in (("bob@b.example", "full@b.example"), ("full@b.example", "bob@b.example")):
        client = smtplib.LMTP("127.0.0.1", port)
        print(f"smtp-server, to {' and '.join(recipients)}: {send(client, *recipients)}; then to cid@b.example: {send(client, 'cid@b.example')}")
        client.close()
    server.kill()


class Handler:
    async def handle_DATA(self, server, session, envelope):
        return "250 kept"


async def talk():
    server = await asyncio.get_running_loop().create_server(lambda: LMTP(Handler()), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readline()
    writer.write(b"LHLO a.example\r\n")
    while (await reader.readline())[3:4] == b"-":
        pass
    for line in (b"MAIL FROM:<ann@a.example>", b"RCPT TO:<bob@b.example>", b"RCPT TO:<cid@b.example>", b"DATA"):
        writer.write(line + b"\r\n")
        await reader.readline()
    writer.write(TEXT.encode() + b"\r\n.\r\nQUIT\r\n")
    replies = (await reader.read()).decode().splitlines()
    print(f"aiosmtpd, to bob@b.example and cid@b.example, then QUIT: {replies}")
    writer.close()
    server.close()


asyncio.run(talk())
PYTHON
venv/bin/python look.py >seen

cat seen
diff seen - <<'SEEN'
smtp-server, to bob@b.example and full@b.example: refused {}; then to cid@b.example: SMTPSenderRefused 552 mailbox full
smtp-server, to full@b.example and bob@b.example: SMTPDataError 552 mailbox full; then to cid@b.example: SMTPDataError 250 Accepted
aiosmtpd, to bob@b.example and cid@b.example, then QUIT: ['250 kept', '221 Bye']
SEEN
