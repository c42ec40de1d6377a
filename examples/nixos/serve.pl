# serve.pl FILE: answers HTTP on the socket that systemd has opened, with FILE.
# Told to end, it finishes the request that it has; others wait in the socket.

open(my $file, "<", $ARGV[0]) or die "$ARGV[0]: $!\n";
my $page = join("", <$file>);
open(my $socket, "+<&=", 3) or die "no socket from systemd: $!\n";

my $end = 0;
$SIG{TERM} = sub { $end = 1 };
$SIG{PIPE} = "IGNORE";
until ($end) {
    vec(my $ready = "", fileno($socket), 1) = 1;
    next unless select($ready, undef, undef, 0.5) > 0;
    accept(my $client, $socket) or next;
    while (my $line = <$client>) { last if $line =~ /^\r?\n$/ }
    print $client "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n", $page;
    close($client);
}
