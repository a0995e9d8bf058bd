# Mail::DKIM adds a set to a chain, and says what it thinks of chains, as arc_dkimpy.py does.

use strict;
use warnings;
use Mail::DKIM::ARC::Signer;
use Mail::DKIM::ARC::Verifier;
use Mail::DKIM::PrivateKey;
use Net::DNS;

my ($task, $first, @rest) = @ARGV;

sub text {
    my $path = shift;
    open my $file, '<:raw', $path or die "$path: $!";
    local $/;
    return scalar <$file>;
}

if ($task eq 'seal') {
    my ($domain, $path) = @rest;
    my $signer = Mail::DKIM::ARC::Signer->new(
        Algorithm => 'rsa-sha256',
        Chain     => 'ar',
        Domain    => $domain,
        SrvId     => $domain,
        Selector  => 'k',
        Key       => Mail::DKIM::PrivateKey->load(File => $first),
    );
    $signer->PRINT(text($path));
    $signer->CLOSE;
    die $signer->result_detail unless $signer->result eq 'sealed';
    binmode STDOUT;
    # Each field stands for itself, folded or not.
    print join('', map { s/\r?\n?\z/\r\n/r } $signer->as_strings), text($path);
    exit;
}

my %keys = map { split / /, $_, 2 } split /\n/, text($first);

no warnings 'redefine';
*Mail::DKIM::DNS::query = sub {
    my ($name, $type) = @_;
    my $text = $keys{$name} or return;
    # Its strings hold 255 octets each.
    my @strings = unpack '(a255)*', $text;
    return Net::DNS::RR->new(name => $name, type => 'TXT', txtdata => \@strings);
};

for my $path (sort glob "$rest[0]/*.eml") {
    my $verifier = Mail::DKIM::ARC::Verifier->new;
    $verifier->PRINT(text($path));
    $verifier->CLOSE;
    my ($name) = $path =~ m{([^/]*)\.eml$};
    # `invalid` is what cannot be read.
    print "$name ", $verifier->result =~ /^(?:pass|none)$/ ? $verifier->result : 'fail', "\n";
}
