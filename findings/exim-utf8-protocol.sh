#!/usr/bin/env bash
# Exim 4.96 (Debian 12, exim4-daemon-light) writing a Received field, and SpamAssassin 4.0.1 (Debian 12) reading it.
#
# Guess: whoever signed in is told from whoever did not by the word behind `with`, whether or not the message came with SMTPUTF8: RFC 6531
# section 4.3 registers UTF8SMTPA and UTF8SMTPSA beside ESMTPA and ESMTPSA of RFC 3848, and SpamAssassin knows all four.
# Seen: Exim, as its manual says, puts `utf8` before the word that it would have written else, and `utf8esmtpa` is in no registry.
# SpamAssassin does not take it for a sign-in: for having said SMTPUTF8 the same person at the same address counts as a stranger who
# delivers straight from a line at home.
# Needs apt with the lists of Debian 12, and root, which Exim demands; nothing is installed, the packages are unpacked into a temporary folder.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
apt-get download -qq exim4-daemon-light=4.96-15+deb12u11 spamassassin=4.0.1-1~deb12u1 libnss-wrapper libnetaddr-ip-perl libnet-dns-perl \
  libhtml-parser-perl libhtml-tagset-perl 2>apt.log
for package in *.deb; do
  dpkg -x "$package" root
done

# Exim looks for its account before all else, and runs as that.
printf 'root:x:0:0:root:/root:/bin/sh\nDebian-exim:x:65534:65534::/nonexistent:/bin/false\n' >passwd
printf 'root:x:0:\nDebian-exim:x:65534:\n' >group
mkdir spool log home
chown 65534:65534 spool log
cat >exim.conf <<EXIM
primary_hostname = relay.example
spool_directory = $work/spool
log_file_path = $work/log/%s
keep_environment =
smtputf8_advertise_hosts = *
queue_only
acl_smtp_rcpt = accept
acl_smtp_data = accept
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = true
EXIM
for parameter in '' ' SMTPUTF8'; do
  printf '%s\r\n' 'EHLO client.example' 'AUTH PLAIN AGFubgB4' "MAIL FROM:<ann@a.example>$parameter" 'RCPT TO:<bob@b.example>' DATA \
    'From: ann@a.example' '' Hello . QUIT |
    LD_PRELOAD=$(echo "$work"/root/usr/lib/*/libnss_wrapper.so) NSS_WRAPPER_PASSWD=$work/passwd NSS_WRAPPER_GROUP=$work/group \
      root/usr/sbin/exim4 -C "$work/exim.conf" -bs -oMa 203.0.113.7 -oMs client.example >>dialogue
  # The field in the spool, without what Exim puts before it, and without the rest of the file.
  sed -n '/^[0-9]*P Received: /,/^[0-9]/{/^[0-9]*P Received: /s/^[0-9]*P //p;/^\t/p}' spool/input/*-H >"field-${parameter# }"
  rm spool/input/*
done

cat >look.pl <<'PERL'
use Mail::SpamAssassin;

my $reader = Mail::SpamAssassin->new({ config_text => "trusted_networks 192.0.2.1\n", local_tests_only => 1, dont_copy_prefs => 1 });
for my $name (@ARGV) {
    open my $file, '<', $name or die;
    my $field = join '', <$file>;
    my $message = $reader->parse("${field}From: ann\@a.example\n\nHello\n");
    $message->extract_message_metadata(Mail::SpamAssassin::PerMsgStatus->new($reader, $message));
    my ($with) = $field =~ / with (\S+)/;
    my $relays = $message->{metadata};
    my ($auth) = "$relays->{relays_trusted_str}$relays->{relays_untrusted_str}" =~ / auth=(\S*)/;
    print "with $with: signed in as [$auth], ", ($relays->{relays_trusted_str} ? 'trusted' : 'a stranger'), "\n";
}
PERL
HOME=$work/home PERL5LIB=root/usr/share/perl5:$(echo root/usr/lib/*/perl5/*) perl look.pl field- field-SMTPUTF8 >seen 2>perl.log

cat seen
diff seen - <<'SEEN'
with esmtpa: signed in as [esmtpa], trusted
with utf8esmtpa: signed in as [], a stranger
SEEN
