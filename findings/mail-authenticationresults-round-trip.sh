#!/usr/bin/env bash
# Mail::AuthenticationResults 2.20230112 (Debian 12, libmail-authenticationresults-perl) reading an Authentication-Results field and writing it again.
#
# Guess: the field comes out as it came in, apart from folding: it is what the parser's tree and its as_string are for.
# Seen: a method's version (`spf/1=pass`, RFC 8601 section 2.2) is written behind the result, where the grammar has no place for it, and a quoted
# local part ends before its `@`, so the domain becomes a property of its own with an empty value. No error either way. A filter that
# takes one result out and writes the rest anew changes the others.
# Needs apt with the lists of Debian 12; nothing is installed, the packages are unpacked into a temporary folder.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
apt-get download -qq libmail-authenticationresults-perl=2.20230112-1 libclone-perl libjson-perl 2>apt.log
for package in *.deb; do
  dpkg -x "$package" root
done

cat >look.pl <<'PERL'
use Mail::AuthenticationResults::Parser;

for my $field ('mx.example; spf=pass smtp.mailfrom=a.example', 'mx.example; spf/1=pass smtp.mailfrom=a.example',
    'mx.example; spf=pass smtp.mailfrom="a b"@d.example') {
    my $written = Mail::AuthenticationResults::Parser->new($field)->parsed->as_string;
    $written =~ s/\s+/ /g;
    print "$field -> $written\n";
}
PERL
PERL5LIB=root/usr/share/perl5:$(echo root/usr/lib/*/perl5/*) perl look.pl >seen

cat seen
diff seen - <<'SEEN'
mx.example; spf=pass smtp.mailfrom=a.example -> mx.example; spf=pass smtp.mailfrom=a.example
mx.example; spf/1=pass smtp.mailfrom=a.example -> mx.example; spf=pass / 1 smtp.mailfrom=a.example
mx.example; spf=pass smtp.mailfrom="a b"@d.example -> mx.example; spf=pass smtp.mailfrom="a b" @d.example=""
SEEN
