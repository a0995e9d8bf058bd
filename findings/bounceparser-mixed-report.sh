#!/usr/bin/env bash
# Mail::DeliveryStatus::BounceParser 1.543 (Debian 12) and flufl.bounce 6.0.0 (PyPI) on one report about several recipients.
#
# Guess: a report holds a group of fields for each recipient, each with an action of its own (RFC 3464 section 2.3), so one that failed is found
# whatever became of the others.
# Seen: the Perl reader says "no bounce" as soon as one recipient was delivered or relayed; if that one comes first, it does not even
# list the other. flufl.bounce finds the one that failed in any order.
# What follows for a relay: failures and successes go into reports of their own where it can choose.
# Needs apt with the lists of Debian 12; nothing is installed, the packages are unpacked into a temporary folder.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check flufl.bounce==6.0.0
apt-get download -qq libmail-deliverystatus-bounceparser-perl=1.543+repacked-1 libmime-tools-perl libmailtools-perl libtimedate-perl 2>apt.log
for package in *.deb; do
  dpkg -x "$package" root
done

cat >look.pl <<'PERL'
use Mail::DeliveryStatus::BounceParser;

local $/;
my $bounce = Mail::DeliveryStatus::BounceParser->new(<STDIN>);
print $bounce->is_bounce ? 'bounce' : 'no bounce', ', lists [', join(' ', map { $_->get('email') } $bounce->reports), ']';
PERL
cat >look.py <<'PYTHON'
import email
import subprocess

from flufl.bounce import scan_message

REPORT = """From: MAILER-DAEMON@relay.example
To: sender@list.example
Subject: Undelivered
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=B

--B
Content-Type: text/plain

What became of the message.
--B
Content-Type: message/delivery-status

Reporting-MTA: dns; relay.example

%s
--B--
"""
FIELDS = "Final-Recipient: rfc822; %s@d.example\nAction: %s\nStatus: %s\n"
FAILED, FAILED_TOO = FIELDS % ("ann", "failed", "5.1.1"), FIELDS % ("eve", "failed", "5.2.2")
RELAYED = FIELDS % ("bob", "relayed", "2.0.0")
for name, groups in (
    ("ann failed", [FAILED]),
    ("ann failed, eve failed", [FAILED, FAILED_TOO]),
    ("ann failed, bob relayed", [FAILED, RELAYED]),
    ("bob relayed, ann failed", [RELAYED, FAILED]),
):
    report = REPORT % "\n".join(groups)
    perl = subprocess.run(["perl", "-Iroot/usr/share/perl5", "look.pl"], input=report, capture_output=True, text=True, check=True)
    found = sorted(address.decode() for address in scan_message(email.message_from_string(report)))
    print(f"{name}: BounceParser {perl.stdout}; flufl.bounce {found}")
PYTHON
venv/bin/python look.py >seen

cat seen
diff seen - <<'SEEN'
ann failed: BounceParser bounce, lists [ann@d.example]; flufl.bounce ['ann@d.example']
ann failed, eve failed: BounceParser bounce, lists [ann@d.example eve@d.example]; flufl.bounce ['ann@d.example', 'eve@d.example']
ann failed, bob relayed: BounceParser no bounce, lists [ann@d.example]; flufl.bounce ['ann@d.example']
bob relayed, ann failed: BounceParser no bounce, lists []; flufl.bounce ['ann@d.example']
SEEN
