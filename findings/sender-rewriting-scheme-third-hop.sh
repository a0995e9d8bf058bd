#!/usr/bin/env bash
# sender-rewriting-scheme 1.0.0 (npm) as the third forwarder behind two that use Mail::SRS 0.31 (Debian 12, libmail-srs-perl).
#
# Guess: whoever gets an SRS1 address keeps the host and the tail in it and puts a hash of its own in place of the one that stands there. Only
# the forwarder that made that hash can check it, so what it looks like does not matter.
# Seen: the third hop is "Invalid SRS1 address", because only four small hexadecimal digits, the form that this library writes, are taken for a
# hash. The second hop works, as the hash of an SRS0 address is not looked at there. So a test with two forwarders passes, and so does one
# with three of the same kind.
# Needs apt with the lists of Debian 12; nothing is installed, the packages are unpacked into a temporary folder.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
apt-get download -qq libmail-srs-perl=0.31-9 libdigest-hmac-perl 2>apt.log
for package in *.deb; do
  dpkg -x "$package" root
done
npm init -y >npm.log
npm install --silent --no-audit --no-fund sender-rewriting-scheme@1.0.0 >>npm.log

cat >forward.pl <<'PERL'
use Mail::SRS::Guarded;

my $address = shift;
print Mail::SRS::Guarded->new(Secret => $_)->forward($address, "$_.example") for @ARGV;
PERL
cat >look.js <<'JAVASCRIPT'
const { execFileSync } = require('child_process');
const { SRS } = require('sender-rewriting-scheme');

const perl = (address, name) => execFileSync('perl', ['-Iroot/usr/share/perl5', 'forward.pl', address, name]).toString();
const npm = (address, name) => new SRS({ secret: name }).forward(address, `${name}.example`);
for (const hops of [[perl, perl], [npm, npm], [npm, perl], [perl, npm]]) {
  let address = 'SRS0=Z29h=JT=a.example=ann@f1.example';
  let seen = 'ok';
  hops.forEach((hop, at) => {
    try {
      address = hop(address, `f${at + 2}`);
    } catch (error) {
      seen = error.message;
    }
  });
  console.log(`perl, ${hops.map((hop) => hop.name).join(', ')}: ${address}, ${seen}`);
}
JAVASCRIPT
node look.js >seen

cat seen
diff seen - <<'SEEN'
perl, perl, perl: SRS1=NmEt=f1.example==Z29h=JT=a.example=ann@f3.example, ok
perl, npm, npm: SRS1=ee6a=f1.example==Z29h=JT=a.example=ann@f3.example, ok
perl, npm, perl: SRS1=NmEt=f1.example==Z29h=JT=a.example=ann@f3.example, ok
perl, perl, npm: SRS1=M1+c=f1.example==Z29h=JT=a.example=ann@f2.example, Invalid SRS1 address
SEEN
