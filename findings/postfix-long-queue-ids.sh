#!/usr/bin/env bash
# pymailq 0.9.0 (PyPI) and the Postfix filter of logwatch 7.7 (Debian 12) where Postfix has `enable_long_queue_ids = yes`.
#
# Guess: programs that read Postfix's queue and log read both forms of its queue ids. The long one is of 2011 (Postfix 2.9): time and inode
# in base 52, so with small letters (postconf(5)).
# Seen: pymailq knows 10 to 12 digits and capitals. It takes the line of a message for a recipient of the one before, and where there is none
# that is an AttributeError. logwatch counts the one form or, by an option, the other, never both, though both are in the log after the
# change; the rest is "unmatched". Ids of another program that logs in Postfix's words, such as the last, are read by neither.
# Needs apt with the lists of Debian 12; nothing is installed, the package is unpacked into a temporary folder.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check pymailq==0.9.0
apt-get download -qq logwatch=7.7-1 2>apt.log
for package in *.deb; do
  dpkg -x "$package" root
done

cat >look.py <<'PYTHON'
import sys

from pymailq.store import PostqueueStore

with open("queue", "w", encoding="ascii") as queue:
    print("-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------", file=queue)
    print(f"{sys.argv[1]:<17s} {340:8d} Mon Nov  2 10:00:00  ann@a.example\n{'':41}bob@b.example\n\n-- 0 Kbytes in 1 Request.", file=queue)
store = PostqueueStore()
try:
    store.load(filename="queue")
    print(*(f"{mail.qid} to {mail.recipients}" for mail in store.mails))
except AttributeError as error:
    print(error)
PYTHON
counted() {
  perl root/usr/share/logwatch/scripts/services/postfix --detail 10 "$@" <<LOG | sed -nE 's/^ +1 +Sent via SMTP +1$/counted/p; s/^\*\*Unmatched.*/unmatched/p'
Nov  2 10:00:00 relay postfix/qmgr[7]: $id: from=<ann@a.example>, size=1234, nrcpt=1 (queue active)
Nov  2 10:00:01 relay postfix/smtp[7]: $id: to=<bob@b.example>, relay=mx.b.example[192.0.2.9]:25, delay=1.1, delays=0.1/0/0.5/0.5, dsn=2.0.0, status=sent (250 ok)
LOG
}
for id in 9F2C1A0B3D 4Rk7Xb2MZqz9sV 01m805vabyxfwx9j6mnj8kwz81; do
  echo "$id: pymailq $(venv/bin/python look.py "$id"), logwatch $(counted), with --long_queue_ids $(counted --long_queue_ids)"
done >seen

cat seen
diff seen - <<'SEEN'
9F2C1A0B3D: pymailq 9F2C1A0B3D to ['bob@b.example'], logwatch counted, with --long_queue_ids unmatched
4Rk7Xb2MZqz9sV: pymailq 'NoneType' object has no attribute 'recipients', logwatch unmatched, with --long_queue_ids counted
01m805vabyxfwx9j6mnj8kwz81: pymailq 'NoneType' object has no attribute 'recipients', logwatch unmatched, with --long_queue_ids unmatched
SEEN
