#!/usr/bin/env bash
# slapd 2.5.13+dfsg-5 (Debian 12) with the schema for Active Directory's attributes that it ships, msuser.schema.
#
# Guess: it needs core, cosine and inetorgperson, as the classes for people of Active Directory build on inetOrgPerson.
# Seen: it needs nis.schema too, for homeDirectory; its own first lines do not say so. Whoever sets up a stand-in for Active
# Directory to test a filter on proxyAddresses meets "AttributeType not found" in line 4278 of a file that came with the package.
# Needs apt with the lists of Debian 12; nothing is installed, the packages are unpacked into a temporary folder.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
apt-get download -qq slapd=2.5.13+dfsg-5 libldap-2.5-0=2.5.13+dfsg-5 libodbc2 libltdl7 libsasl2-2 libwrap0 libnsl2 2>apt.log
for package in *.deb; do
  dpkg -x "$package" root
done
libraries=$(dirname "$(find root -name 'libldap-2.5.so.0')")

for names in 'core cosine inetorgperson msuser' 'core cosine inetorgperson nis msuser'; do
  for name in $names; do
    echo "include $work/root/etc/ldap/schema/$name.schema"
  done >slapd.conf
  echo "$names:"
  LD_LIBRARY_PATH=$libraries root/usr/sbin/slapd -T test -u -f slapd.conf 2>&1 | sed "s,^$work/root,," || true
done >seen

cat seen
diff seen - <<'SEEN'
core cosine inetorgperson msuser:
/etc/ldap/schema/msuser.schema: line 4278 objectclass: AttributeType not found: "homeDirectory"
slaptest: bad configuration file!
core cosine inetorgperson nis msuser:
config file testing succeeded
SEEN
