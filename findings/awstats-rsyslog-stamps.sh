#!/usr/bin/env bash
# maillogconvert.pl of AWStats 7.8 reading what rsyslog 8.2302.0 writes, both of Debian 12.
#
# Guess: the log analyser of a release reads what the syslog server of the same release writes with the settings it comes with, as pflogsumm
# 1.1.5 does; and if it did not, it would say so.
# Seen: not one row, no word, exit code 0. In Debian 12 rsyslog's configuration names no template any more, and without one it writes stamps
# of RFC 3339; AWStats takes "Nov 30 10:00:00" alone. With the older template the same lines are a row. Statistics end on the day of the
# upgrade.
# What follows for a relay whose log goes through such a server: the template has to be named for AWStats.
# Needs apt with the lists of Debian 12; nothing is installed, the packages are unpacked into a temporary folder.
set -euo pipefail
work=$(mktemp -d)
trap 'kill %% 2>/dev/null || true; rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
apt-get download -qq awstats=7.8-3+deb12u2 rsyslog=8.2302.0-1+deb12u2 pflogsumm=1.1.5-8 libestr0 libfastjson4 libdate-calc-perl libbit-vector-perl \
  libcarp-clan-perl 2>apt.log
for package in *.deb; do
  dpkg -x "$package" root
done
modules=$(echo root/usr/lib/*/rsyslog)
export TZ=UTC LD_LIBRARY_PATH=${modules%/rsyslog} PERL5LIB=root/usr/share/perl5:$(echo root/usr/lib/*/perl5/*)

written() { # a template, or nothing
  {
    printf 'module(load="imuxsock" SysSock.Use="off")\ninput(type="imuxsock" Socket="%s/socket")\n' "$work"
    printf '%s\n' "$1" "mail.* $work/mail.log"
  } >rsyslog.conf
  root/usr/sbin/rsyslogd -n -i "$work/pid" -M "$modules" -f "$work/rsyslog.conf" 2>rsyslog.log &
  until [ -S socket ]; do sleep 0.1; done
  while read -r service text; do
    logger --socket socket --priority mail.info --tag "postfix/$service" --id=7 -- "8F2C1A0B3D: $text"
  done <<'LINES'
smtpd client=a.example[192.0.2.7]
qmgr from=<ann@a.example>, size=1234, nrcpt=1 (queue active)
smtp to=<bob@b.example>, relay=mx.b.example[192.0.2.9]:25, delay=1.1, delays=0.1/0/0.5/0.5, dsn=2.0.0, status=sent (250 ok)
qmgr removed
LINES
  until [ "$(grep -c . mail.log)" = 4 ]; do sleep 0.1; done
  kill %%
  wait || true
  rm -f socket
}
templates=$(grep -ciE 'template' root/etc/rsyslog.conf || true)
echo "templates in the configuration of the package: $templates" >seen
# shellcheck disable=SC2016 # rsyslog's dollar
for template in '' '$ActionFileDefaultTemplate RSYSLOG_TraditionalFileFormat'; do
  written "$template"
  rows=$(perl root/usr/share/doc/awstats/examples/maillogconvert.pl standard <mail.log 2>&1)
  echo "${template:-no template}: stamps like $(head -n1 mail.log | cut -d' ' -f1 | sed -E 's/[0-9]/0/g; s/^[A-Z][a-z]+$/Mon 00 00:00:00/'),$(
    perl root/usr/sbin/pflogsumm mail.log | grep -E '^ +[0-9]+ +delivered$' | tr -s ' '
  ) for pflogsumm, rows for AWStats: $(grep -c . <<<"$rows" || true)"
  rm mail.log
done >>seen

cat seen
diff seen - <<'SEEN'
templates in the configuration of the package: 0
no template: stamps like 0000-00-00T00:00:00.000000+00:00, 1 delivered for pflogsumm, rows for AWStats: 0
$ActionFileDefaultTemplate RSYSLOG_TraditionalFileFormat: stamps like Mon 00 00:00:00, 1 delivered for pflogsumm, rows for AWStats: 1
SEEN
