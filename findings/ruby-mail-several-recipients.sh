#!/usr/bin/env bash
# mail 2.7.1 (Debian 12, ruby-mail) on reports of delivery about several recipients.
#
# Guess: whether mail may be tried again follows from the statuses: class 5 is permanent (RFC 3463 section 2), so a report whose recipients
# all have 5.1.1 or 5.2.2 is not retryable, like one with a single recipient; and a report in which one failed is a bounce in any order
# (RFC 3464 section 2.3).
# Seen: with two recipients `retryable?` is true whatever their statuses are: it is "not 5" of a list. `bounced?` is true when the first
# recipient's action begins with "failed", so Bob's delivery hides Ann's failure if he stands before her. Programs that take dead addresses
# out of their lists keep them, just when one message found several of them.
# Needs apt with the lists of Debian 12; nothing is installed, the packages are unpacked into a temporary folder.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
apt-get download -qq ruby-mail=2.7.1+dfsg1-2 ruby3.1 libruby3.1 ruby-mini-mime libyaml-0-2 2>apt.log
for package in *.deb; do
  dpkg -x "$package" root
done

cat >look.rb <<'RUBY'
require 'mail'

REPORT = <<MAIL.freeze
From: MAILER-DAEMON@relay.example
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
MAIL
recipient = ->(name, action, status) { "Final-Recipient: rfc822; #{name}@d.example\nAction: #{action}\nStatus: #{status}\n" }
ann = recipient.('ann', 'failed', '5.1.1')
eve = recipient.('eve', 'failed', '5.2.2')
bob = recipient.('bob', 'relayed', '2.0.0')
{ 'ann failed' => [ann], 'ann failed, eve failed' => [ann, eve], 'bob relayed, ann failed' => [bob, ann] }.each do |name, groups|
  mail = Mail.new(format(REPORT, groups.join("\n")))
  puts "#{name}: bounced #{mail.bounced?}, retryable #{mail.retryable?}, statuses #{mail.error_status.inspect}"
end
RUBY
ruby=root/usr/lib/ruby
library=$(dirname root/usr/lib/*/libruby-3.1.so.3.1)
folders=$(printf ' -I %s' "$ruby/3.1.0" "$library/ruby/3.1.0" "$ruby"/gems/3.1.0/gems/*/lib root/usr/share/rubygems-integration/*/gems/*/lib "$ruby/vendor_ruby")
# shellcheck disable=SC2086 # one option each
LD_LIBRARY_PATH=$library root/usr/bin/ruby3.1 --disable-gems $folders look.rb >seen

cat seen
diff seen - <<'SEEN'
ann failed: bounced true, retryable false, statuses "5.1.1"
ann failed, eve failed: bounced true, retryable true, statuses ["5.1.1", "5.2.2"]
bob relayed, ann failed: bounced false, retryable true, statuses ["2.0.0", "5.1.1"]
SEEN
