#!/usr/bin/env bash
# Verifiers of DKIM on one message with blanks where RFC 6376 has room for them: dkimpy 1.1.8 (PyPI) and Mail::DKIM 1.20230212 (Debian 12,
# libmail-dkim-perl), beside mailauth 4.13.3 (npm).
#
# Guess: all of them take all of it: blanks round the colons of `q` in a signature (section 3.5) and of `h` in a key record (3.6.1), and in
# `From : Ann` before the colon, where the relaxed form deletes it (3.4.2).
# Seen: mailauth does, the two others each fail elsewhere. Mail::DKIM leaves the blanks on the names in a list, so that a key "does not support"
# a hash that its record names. dkimpy does not know a field whose name has a blank behind it, and takes `q` for one word even without
# blanks, so that a second query method, which is to be passed over, makes a signature void.
# Needs apt with the lists of Debian 12; nothing is installed, the packages are unpacked into a temporary folder.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
npm init -y >npm.log
npm install --silent --no-audit --no-fund mailauth@4.13.3 >>npm.log
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check dkimpy==1.1.8 cryptography==50.0.2
apt-get download -qq libmail-dkim-perl=1.20230212-2~deb12u1 libcrypt-openssl-rsa-perl libcrypt-openssl-bignum-perl libcryptx-perl libmailtools-perl \
  libnet-dns-perl libmail-authenticationresults-perl libclone-perl libjson-perl libtimedate-perl 2>apt.log
for package in *.deb; do
  dpkg -x "$package" root
done

# Each reads a message from standard input, and has the key record as its argument.
cat >mailauth.js <<'JAVASCRIPT'
const { dkimVerify } = require('mailauth/lib/dkim/verify');

dkimVerify(process.stdin, { resolver: async () => [[process.argv[2]]] }).then(({ results: [{ status }] }) => {
  process.stdout.write(status.result);
});
JAVASCRIPT
cat >maildkim.pl <<'PERL'
use Mail::DKIM::Verifier;

{ package Answer; sub type { 'TXT' } sub txtdata { $ARGV[0] } sub char_str_list { $ARGV[0] } }
no warnings 'redefine';
*Mail::DKIM::DNS::query = sub { bless {}, 'Answer' };
*Mail::DKIM::DNS::query_async = sub { my ($name, $type, %ways) = @_; sub { $ways{Callbacks}{Success}->(bless {}, 'Answer') } };
my $verifier = Mail::DKIM::Verifier->new;
local $/;
$verifier->PRINT(<STDIN>);
$verifier->CLOSE;
print $verifier->result;
PERL
cat >look.py <<'PYTHON'
import base64
import hashlib
import os
import subprocess

import dkim
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

SECRET = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC = SECRET.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
KEY = f"v=DKIM1; p={base64.b64encode(PUBLIC).decode()}"
BODY = "Hello\r\n"


def signed(sender="From: Ann <ann@a.example>", query=""):
    body = base64.b64encode(hashlib.sha256(BODY.encode()).digest()).decode()
    field = f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/simple; d=a.example; s=s1; {query}h=from; bh={body}; b="
    name, text = sender.split(":", 1)
    relaxed = f"{name.strip().lower()}:{text.strip()}\r\n" + field.replace("DKIM-Signature: ", "dkim-signature:")
    signature = base64.b64encode(SECRET.sign(relaxed.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()
    return f"{field}{signature}\r\n{sender}\r\n\r\n{BODY}"


def run(*command, message):
    return subprocess.run(command, input=message, capture_output=True, text=True, check=True).stdout


libraries = ":".join(["root/usr/share/perl5", *(f"root/usr/lib/{place}/perl5/5.36" for place in os.listdir("root/usr/lib"))])
for name, message, record in (
    ("no blanks", signed(), KEY),
    ("`q=dns/txt:new`", signed(query="q=dns/txt:new; "), KEY),
    ("`q=new : dns/txt`", signed(query="q=new : dns/txt; "), KEY),
    ("`h=sha1:sha256` in the record", signed(), KEY.replace("p=", "h=sha1:sha256; p=")),
    ("`h=sha1 : sha256` in the record", signed(), KEY.replace("p=", "h=sha1 : sha256; p=")),
    ("`From : Ann`", signed(sender="From : Ann <ann@a.example>"), KEY),
):
    node = run("node", "mailauth.js", record, message=message)
    perl = run("env", f"PERL5LIB={libraries}", "perl", "maildkim.pl", record, message=message)
    python = "pass" if dkim.verify(message.encode(), dnsfunc=lambda *_, **__: record.encode()) else "fail"
    print(f"{name}: mailauth {node}; Mail::DKIM {perl}; dkimpy {python}")
PYTHON
venv/bin/python look.py >seen

cat seen
diff seen - <<'SEEN'
no blanks: mailauth pass; Mail::DKIM pass; dkimpy pass
`q=dns/txt:new`: mailauth pass; Mail::DKIM pass; dkimpy fail
`q=new : dns/txt`: mailauth pass; Mail::DKIM invalid; dkimpy fail
`h=sha1:sha256` in the record: mailauth pass; Mail::DKIM pass; dkimpy pass
`h=sha1 : sha256` in the record: mailauth pass; Mail::DKIM invalid; dkimpy pass
`From : Ann`: mailauth pass; Mail::DKIM pass; dkimpy fail
SEEN
