#!/usr/bin/env bash
# Augeas 1.14.0 and postfix 3.7.11 (Debian 12) on the same main.cf and the same transport table.
#
# Guess: configuration management that reads Postfix's files through Augeas reads what Postfix reads. A comment may stand between a line and
# the lines that continue it (postconf(5): empty lines and comment lines are passed over, a line that begins with white space continues a
# logical line), and a next hop may be a host in brackets with a port behind (transport(5)).
# Seen: either costs the whole file. Postfix gives all three networks and finds the next hop; Augeas says "parse_failed", so that neither can
# any other setting be read or changed. A list of networks with a remark on each is what such files look like.
# Needs apt with the lists of Debian 12; nothing is installed, the packages are unpacked into a temporary folder.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
apt-get download -qq augeas-tools libaugeas0 augeas-lenses=1.14.0-1+deb12u1 postfix=3.7.11-0+deb12u1 \
  libreadline8 libxml2 libdb5.3 libicu72 libnsl2 libtirpc3 libsasl2-2 2>apt.log
for package in *.deb; do
  dpkg -x "$package" root
done
export LD_LIBRARY_PATH
LD_LIBRARY_PATH=root/usr/lib/postfix:$(dirname root/usr/lib/*/libaugeas.so.0)

networks() { # what stands between the second line and the third
  printf 'mynetworks = 127.0.0.0/8\n  192.0.2.0/24\n%s  198.51.100.0/24\n' "$1"
}
mkdir -p files/etc/postfix
cd files/etc/postfix
networks '' >plain.cf
networks $'# the printers\n' >remark.cf
networks $'\n' >gap.cf
echo 'b.example smtp:[relay.example]' >bracketed
echo 'b.example smtp:[relay.example]:587' >bracketed-port
cd ../../..

augeas() { # lens, file
  root/usr/bin/augtool --root=files --include=root/usr/share/augeas/lenses/dist --noautoload --transform="$1 incl /etc/postfix/$2" \
    "get /augeas/files/etc/postfix/$2/error" | sed 's/.* = /cannot: /; s/.* (.*)/reads it/'
}
for name in plain remark gap; do
  mkdir "$name"
  cp "files/etc/postfix/$name.cf" "$name/main.cf"
  echo "$name: Postfix $(root/usr/sbin/postconf -c "$name" -h mynetworks 2>postfix.log), Augeas $(augeas Postfix_Main.lns "$name.cf")"
done >seen
for name in bracketed bracketed-port; do
  echo "$name: Postfix $(root/usr/sbin/postmap -c plain -q b.example "texthash:files/etc/postfix/$name" 2>postfix.log), Augeas $(augeas Postfix_Transport.lns "$name")"
done >>seen

cat seen
diff seen - <<'SEEN'
plain: Postfix 127.0.0.0/8 192.0.2.0/24 198.51.100.0/24, Augeas reads it
remark: Postfix 127.0.0.0/8 192.0.2.0/24 198.51.100.0/24, Augeas cannot: parse_failed
gap: Postfix 127.0.0.0/8 192.0.2.0/24 198.51.100.0/24, Augeas cannot: parse_failed
bracketed: Postfix smtp:[relay.example], Augeas reads it
bracketed-port: Postfix smtp:[relay.example]:587, Augeas cannot: parse_failed
SEEN
