# Mail::DKIM verifies the messages of a folder, and signs others into a second one:
# `mail_dkim.pl FOLDER UNSIGNED SIGNED`, as dkimpy.py does, with RSA alone.

use strict;
use warnings;
use Mail::DKIM::PrivateKey;
use Mail::DKIM::Signer;
use Mail::DKIM::Verifier;
use Net::DNS;

my ($folder, $unsigned, $signed) = @ARGV;

sub text {
    my $path = shift;
    open my $file, '<:raw', $path or die "$path: $!";
    local $/;
    return scalar <$file>;
}

sub name { return $_[0] =~ m{([^/]*)\.eml$} ? $1 : die $_[0] }

my %keys = map { split / /, $_, 2 } split /\n/, text("$folder/keys");

no warnings 'redefine';
*Mail::DKIM::DNS::query = sub {
    my ($name, $type) = @_;
    my $text = $keys{$name} or return;
    # Its strings hold 255 octets each.
    my @strings = unpack '(a255)*', $text;
    return Net::DNS::RR->new(name => $name, type => 'TXT', txtdata => \@strings);
};

for my $path (sort glob "$folder/*.eml") {
    my $verifier = Mail::DKIM::Verifier->new;
    $verifier->PRINT(text($path));
    $verifier->CLOSE;
    print join(' ', name($path), map { $_->result eq 'pass' ? 'pass' : 'fail' } $verifier->signatures), "\n";
}

my $key = Mail::DKIM::PrivateKey->load(File => "$folder/rsa.pem");
for my $path (sort glob "$unsigned/*.eml") {
    for my $form (map { my $header = $_; map {"$header/$_"} qw(simple relaxed) } qw(simple relaxed)) {
        my $signer = Mail::DKIM::Signer->new(
            Algorithm => 'rsa-sha256',
            Method    => $form,
            Domain    => 'a.example',
            Selector  => 'rsa',
            Key       => $key,
        );
        # Of a message without a line end at its end, it forgets that one has to be added.
        my $message = text($path) =~ s/(?<!\n)\z/\r\n/r;
        $signer->PRINT($message);
        $signer->CLOSE;
        my $name = name($path) . '-Mail-DKIM-' . $form =~ s{/}{-}r;
        open my $file, '>:raw', "$signed/$name.eml" or die $!;
        print {$file} map({ $_->as_string . "\r\n" } $signer->signatures), text($path);
        close $file or die $!;
    }
}
