#!/usr/bin/perl
# The store's door, port 5434: who may lead, what a restore needs. Server and client in one file, so that
# both speak the same:
#
#   store.pl serve                 runs the server, in the store's pod
#   store.pl last                  prints the last WAL file of the volume, without asking anybody
#   store.pl HOST COMMAND...       asks it; prints the answer. Exit status 0: answered, 1: `missing`,
#                                  2: no answer that can be trusted, 3: `gone`
#
#   state                                      empty|filling|ready HOLDER LAST sealed|open
#   claim NAME ADDRESS KIND SYSTEM TIMELINE    granted LAST [END] | wait WHY WHO
#   ending NAME                                another | preparing | nobody, after 30 s at most
#   base [AGE]                                 found, then a tar stream of a base backup: 0, the newest, 1, ...
#   wal FILE NAME                              found, then the file | missing: there is none yet | gone: there
#                                              was one, and only a newer base goes on without it
#
# The lead is what keeps two primaries apart. The store receives WAL from the holder alone, and a commit is
# acknowledged only once the store has it; so whoever has lost the lead acknowledges nothing, whatever it
# believes itself. Nobody is asked to stop, and no clock is trusted: to grant the lead to another, the store
# ends its receiver, waits until that is gone, and only then says how far the WAL goes.
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256_hex);
use Fcntl qw(:flock O_RDONLY);
use IO::Handle;
use IO::Socket::IP;
use POSIX ();
use Time::HiRes qw(sleep);

my $store = $ENV{PGK_STORE} // '/store';
my $run = $ENV{PGK_RUN} // '/tmp';    # what need not outlive the container
my $secret = ($ENV{PGK_CREDENTIALS} // '/etc/pgk/credentials') . '/replication-password';
my $port = $ENV{PGK_STORE_PORT} // 5434;

my $silence = 5;        # a holder that was not heard for so many seconds may be replaced
my $window = $ENV{PGK_STORE_WINDOW} // 6;    # seconds after its start for which a store without a lead listens
my $begun = uptime();
my $stall = 300;        # seconds that a stream may stand still: what it has brought may be the work of hours
my $callers = 128;      # served at once, and of one address an eighth of them: silent ones keep nobody out
my $segment = 1 << 24;
my $longest = 1000;     # no line of the protocol is longer

my $pod = qr/[a-z0-9][-a-z0-9.]{0,252}/;
my $wal_file = qr/[0-9A-F]{24}/;
my $history = qr/[0-9A-F]{8}\.history/;
my $base_name = qr/[0-9]{8}T[0-9]{6}Z-[0-9A-F]{24}/;    # made by backup.sh

# --- what both sides share ---------------------------------------------------------------------------------

sub note { print STDOUT POSIX::strftime('%Y-%m-%d %H:%M:%S UTC pgk: ', gmtime), @_, "\n" }

# Read anew each time: the Secret may change.
sub key {
    open my $file, '<', $secret or die "$secret: $!\n";
    local $/;
    my $password = <$file>;
    $password =~ s/[\r\n]+\z//;
    $password =~ /^[^\r\n]+\z/ or die "$secret is empty, or has a line break inside\n";
    return $password;
}

sub nonce {
    open my $file, '<:raw', '/dev/urandom' or die "/dev/urandom: $!\n";
    sysread($file, my $bytes, 16) == 16 or die "/dev/urandom gave too little\n";
    return unpack 'H*', $bytes;
}

# Seconds since the machine was started, since the clock may be set.
sub uptime {
    open my $file, '<', '/proc/uptime' or die "/proc/uptime: $!\n";
    return (split / /, <$file>)[0];
}

# How long it takes says nothing of where they differ, so that nobody finds a code out byte by byte.
sub same { my ($one, $other) = @_; my $key = nonce(); return hmac_sha256_hex($one, $key) eq hmac_sha256_hex($other, $key) }

# Every wait for the other side ends.
sub within {
    my ($seconds, $do) = @_;
    local $SIG{ALRM} = sub { die "no answer in $seconds s\n" };
    alarm $seconds;
    my @got = eval { $do->() };
    my $error = $@;
    alarm 0;
    die $error if $error;
    return wantarray ? @got : $got[0];
}

sub get_bytes {
    my ($from, $count) = @_;
    my $bytes = '';
    while (length $bytes < $count) {
        sysread($from, $bytes, $count - length $bytes, length $bytes) or die "the connection was cut\n";
    }
    return $bytes;
}

sub get_line {
    my ($from) = @_;
    my $line = '';
    while ((my $byte = get_bytes($from, 1)) ne "\n") {
        $line .= $byte;
        die "a line is too long\n" if length $line > $longest;
    }
    return $line;
}

sub put {
    my ($to, $bytes) = @_;
    my $done = 0;
    while ($done < length $bytes) {
        $done += syswrite($to, $bytes, length($bytes) - $done, $done) // die "cannot write: $!\n";
    }
}

# --- the client --------------------------------------------------------------------------------------------

sub ask {
    my ($host, @command) = @_;
    my $key = key();
    my $server = IO::Socket::IP->new(PeerHost => $host, PeerPort => $port, Timeout => 3)
        or die "no connection: $@\n";
    my $mine = nonce();
    my $asked = "@command";
    my $answer = within($command[0] eq 'ending' ? 60 : 15, sub {
        get_line($server) =~ /^pgk ([0-9a-f]{32})$/ or die "it is no store\n";
        my $theirs = $1;
        put($server, "$mine " . hmac_sha256_hex("client $theirs $mine $asked", $key) . " $asked\n");
        my ($code, $answer) = split / /, get_line($server), 2;
        same($code, hmac_sha256_hex("server $theirs $mine $answer", $key)) or die "it does not know the password\n";
        return $answer;
    });
    if ($answer ne 'found') {
        print "$answer\n";
        return $answer eq 'missing' ? 1 : $answer eq 'gone' ? 3 : $answer =~ /^error/ ? 2 : 0;
    }
    # Pieces, each with its length before it; a last line tells a whole stream from one that was cut.
    while (1) {
        my $line = within($stall, sub { get_line($server) });
        return 0 if $line eq 'whole';
        $line =~ /^[1-9][0-9]{0,7}$/ or die "the stream broke off: $line\n";
        put(\*STDOUT, within($stall, sub { get_bytes($server, $line) }));
    }
}

# --- the server --------------------------------------------------------------------------------------------

sub read_line {
    my ($path) = @_;
    open my $file, '<', $path or return undef;
    my $line = <$file> // return undef;
    chomp $line;
    return $line;
}

# Whole or not at all, and on the disk. A full volume must not keep anybody from the lead: then the reserve goes
# (store.sh).
sub write_line {
    my ($path, $line) = @_;
    my ($folder) = $path =~ m{^(.*)/};
    until (eval {
        open my $file, '>', "$path.new" or die "$path.new: $!\n";
        print $file "$line\n" and $file->flush and $file->sync and close $file or die "$path.new: $!\n";
        rename "$path.new", $path or die "$path: $!\n";
        sysopen my $handle, $folder, O_RDONLY or die "$folder: $!\n";
        $handle->sync or die "$folder: $!\n";
    }) { unlink "$store/reserve" or die $@ }
}

sub lead {
    my $line = read_line("$store/lead") // return;
    my %lead;
    @lead{qw(name address system phase last)} = split / /, $line;
    return \%lead;
}

sub set_lead { my ($lead) = @_; write_line("$store/lead", join ' ', @$lead{qw(name address system phase last)}) }

sub names { my ($folder, $pattern) = @_; opendir my $list, $folder or die "$folder: $!\n"; return grep { /^$pattern$/ } readdir $list }

# The newest first: by position, as pg_receivewal goes on; of two timelines' files for a position, the newer one.
sub wal_files {
    return sort { substr($b, 8, 16) cmp substr($a, 8, 16) || $b cmp $a } names("$store/wal", qr/$wal_file(?:\.partial)?/);
}
sub last_wal { my ($last) = wal_files(); return defined $last ? substr $last, 0, 24 : '-' }

# The newest first: by their position in the WAL, as a clock may have been set.
sub bases { return sort { substr($b, -16) cmp substr($a, -16) || $b cmp $a } names("$store/base", $base_name) }

# Where the WAL of this timeline ends here, after its last whole record. '-': there is nothing newer of it
# than the start of that timeline, or it cannot be told.
sub end_of_wal {
    my ($timeline) = @_;
    for my $file (grep { -s "$store/wal/$_" } wal_files()) {
        my $name = substr $file, 0, 24;
        last if substr($name, 0, 8) ne $timeline;
        unlink "$run/$name";
        symlink "$store/wal/$file", "$run/$name" or die "$run/$name: $!\n";
        my $statistics = `pg_waldump --stats $run/$name 2>/dev/null`;
        unlink "$run/$name";
        return $1 if $statistics =~ m{^WAL statistics between \S+ and ([0-9A-F]+/[0-9A-F]+):};
    }
    return '-';
}

sub condition { my @bases = bases(); return @bases ? 'ready' : lead() ? 'filling' : 'empty' }

# mark WHAT: now. since WHAT: so many seconds ago; 0 where another is writing it down at this moment. `alive`: the holder
# was heard of; `preparing`: another is on its way to lead.
sub mark { my ($what) = @_; open my $file, '>', "$run/$what" or die "$run/$what: $!\n"; print $file int(uptime()), "\n" }
sub since { my ($what) = @_; return uptime() - (read_line("$run/$what") || uptime()) }
sub heard { mark('alive') }
sub is_silent { return since('alive') >= $silence }

# Ends the receiver. As long as the caller keeps what is returned, there is none: it holds this lock.
sub fence {
    open my $lock, '>>', "$run/receiving.lock" or die "$run/receiving.lock: $!\n";
    for my $try (1 .. 400) {
        return $lock if flock $lock, LOCK_EX | LOCK_NB;
        my $pid = read_line("$run/receiver.pid") // '';
        kill $try < 40 ? 'TERM' : 'KILL', $pid if $pid =~ /^[1-9][0-9]*$/;
        sleep 0.05;
    }
    die "the receiver does not end\n";
}

sub grant {
    my ($name, $address, $system, $last) = @_;
    set_lead({name => $name, address => $address, system => $system, phase => 'sealed', last => $last});
    unlink "$run/ending";
    heard();
    note("the lead is granted to $name ($address)", $last eq '-' ? '' : ", which has to replay $last first");
    return "granted $last";
}

sub claim {
    my ($name, $address, $kind, $system, $timeline) = @_;
    open my $turn, '>>', "$run/claim.lock" or die "$run/claim.lock: $!\n";
    flock $turn, LOCK_EX or die "$run/claim.lock: $!\n";
    my $lead = lead();
    my $known = read_line("$store/system-id") // $system;
    return "wait foreign $known" if $known ne $system;
    if (!$lead) {
        # New, or its volume was lost. Who has only a copy from this store cannot be.
        return 'wait nobody -' if $kind eq 'prepared';
        if ($kind eq 'data') {
            # Not whoever asks first: one that lost the lead while it was cut off may not know of it yet.
            write_line("$run/asked.$name", "$timeline $name");
            my ($newest) = sort { $b cmp $a } map { read_line("$run/$_") // () } names($run, qr/asked\.$pod/);
            my ($best, $who) = split / /, $newest;
            return "wait newer $who" if $best gt $timeline;
            return 'wait window -' if uptime() - $begun < $window;
        }
        write_line("$store/system-id", $system);
        return grant($name, $address, $system, '-');
    }
    my $mine = $lead->{name} eq $name;
    if ($mine && $kind ne 'prepared') {
        # It goes on with its data; perhaps its container was started again.
        unlink "$run/ending";
        heard();
        if ($lead->{address} ne $address) {
            my $no_receiver = fence();
            $lead->{address} = $address;
            set_lead($lead);
        }
        # One that has lost WAL which is here, as a damaged disk or an old copy of it does, must not go on.
        return 'granted - ' . end_of_wal($timeline);
    }
    mark('preparing') if $kind eq 'prepared';
    if ($kind eq 'chosen') {
        # A human made a database from a replica. Only where there is nothing better: the WAL here is of
        # no use without a base, and its histories may be of other timelines with the same numbers.
        return "wait other $lead->{name}" if condition() eq 'ready' || !is_silent();
        my $no_receiver = fence();
        unlink map { "$store/wal/$_" } names("$store/wal", qr/$wal_file(?:\.partial)?|$history/);
        return grant($name, $address, $system, '-');
    }
    return "wait other $lead->{name}" if $kind eq 'data';
    if ($mine && $lead->{phase} eq 'sealed') { heard(); return "granted $lead->{last}" }
    my $ending = (read_line("$run/ending") // '') eq $lead->{name};
    return "wait alive $lead->{name}" unless $mine || $ending || is_silent();
    my $no_receiver = fence();
    note("no WAL is received from $lead->{name} any more");
    return grant($name, $address, $system, last_wal());
}

# The holder is about to stop, and goes on until there is another.
sub ending {
    my ($name) = @_;
    my $is_holder = sub { my $lead = lead(); return $lead && $lead->{name} eq $name };
    return 'another' unless $is_holder->();
    write_line("$run/ending", $name);
    note("$name is about to stop: another may take the lead");
    for (1 .. 150) {
        sleep 0.2;
        return 'another' unless $is_holder->();
    }
    return -e "$run/preparing" && since('preparing') < 20 ? 'preparing' : 'nobody';
}

# A file to read the WAL from; none where it is missing. An unfinished segment is for the holder alone, once
# nothing is received any more: anybody else would take it for the end of the WAL.
sub open_wal {
    my ($name, $for) = @_;
    -d "$store/wal" or die "the store's volume is not there\n";
    my $lead = lead();
    my $may_have_all = $lead && $lead->{name} eq $for && $lead->{phase} eq 'sealed';
    for my $path ("$store/wal/$name", $may_have_all ? "$store/wal/$name.partial" : ()) {
        if (open my $file, '<:raw', $path) { return $file }
        $!{ENOENT} or die "$path: $!\n";
    }
    return undef;
}

# Was it here once? What comes after it on its timeline is.
sub is_gone { my ($name) = @_; return $name =~ /^$wal_file$/ && grep { substr($_, 0, 8) eq substr($name, 0, 8) && $_ gt $name } names("$store/wal", $wal_file) }

sub put_piece { my ($to, $bytes) = @_; put($to, length($bytes) . "\n" . $bytes) if length $bytes }

sub stream {
    my ($to, $from) = @_;
    my $total = 0;
    while (1) {
        my $got = sysread $from, my $bytes, 1 << 18;
        defined $got or die "cannot read: $!\n";
        return $total if !$got;
        $total += $got;
        mark('preparing') if since('preparing') >= 1 || !-e "$run/preparing";
        within($stall, sub { put_piece($to, $bytes) });
    }
}

# Answers one caller. What it asked for is looked at only after it has shown that it knows the password.
sub serve {
    my ($caller) = @_;
    my $key = key();
    my $mine = nonce();
    my $theirs;
    my $asked = within(5, sub {
        put($caller, "pgk $mine\n");
        get_line($caller) =~ /^([0-9a-f]{32}) ([0-9a-f]{64}) (.+)$/ or die "it speaks otherwise\n";
        $theirs = $1;
        same($2, hmac_sha256_hex("client $mine $1 $3", $key)) or die "it does not know the password\n";
        return $3;
    });
    my $file;
    my $text = eval {
        if ($asked eq 'state') {
            my $lead = lead();
            return join ' ', condition(), $lead ? $lead->{name} : '-', last_wal(), $lead ? $lead->{phase} : '-';
        }
        return claim($1, $2, $3, $4, $5)
            if $asked =~ /^claim ($pod) ([0-9A-Fa-f:.]{2,45}) (data|prepared|chosen) ([0-9]{1,20}) ([0-9A-F]{8})$/;
        return ending($1) if $asked =~ /^ending ($pod)$/;
        if ($asked =~ /^base(?: ([0-9]{1,2}))?$/) {
            my $base = (bases())[$1 // 0] // return 'missing';
            open $file, '-|', 'tar', '-C', "$store/base/$base", '-cf', '-', '.' or die "tar: $!\n";
            return 'found';
        }
        if ($asked =~ /^wal ($wal_file|$history) ($pod)$/) {
            $file = open_wal($1, $2) // return is_gone($1) ? 'gone' : 'missing';
            return 'found';
        }
        die "no such command\n";
    };
    if (!defined $text) {
        chomp(my $error = $@);
        note("cannot answer `$asked`: $error");
        $text = 'error ' . substr $error =~ s/[^ -~]/ /gr, 0, 200;
    }
    put($caller, hmac_sha256_hex("server $mine $theirs $text", $key) . " $text\n");
    return if $text ne 'found';
    my $total = stream($caller, $file);
    # One that is just being padded has zeros to come, and PostgreSQL takes whole segments alone.
    put_piece($caller, "\0" x ($segment - $total)) if $asked =~ /^wal $wal_file / && $total < $segment;
    if (!close $file) { put($caller, "tar failed\n"); die "tar failed\n" }
    put($caller, "whole\n");
}

sub serve_all {
    $SIG{PIPE} = 'IGNORE';
    STDOUT->autoflush;
    heard();    # the store has just started: give the holder time to be heard
    unlink "$run/ending", "$run/preparing", map { "$run/$_" } names($run, qr/asked\.$pod/);
    my @door = (LocalPort => $port, Listen => 50, ReuseAddr => 1);
    my $door = IO::Socket::IP->new(@door, LocalHost => '::', V6Only => 0)
        || IO::Socket::IP->new(@door, LocalHost => '0.0.0.0')
        || die "port $port: $@\n";
    my %served;
    while (1) {
        my $caller = $door->accept;
        while ((my $ended = waitpid -1, POSIX::WNOHANG) > 0) { delete $served{$ended} }
        next unless $caller;
        # A flood must not take the receiver's memory, nor keep the members out.
        my $from = $caller->peerhost // '';
        next if keys %served >= $callers || $callers / 8 <= grep { $_ eq $from } values %served;
        my $child = fork;
        if (!defined $child) { note("cannot answer: $!"); next }
        if ($child) { $served{$child} = $from; next }
        close $door;
        my $good = eval { serve($caller); 1 };
        note('a caller from ', $caller->peerhost // 'somewhere', " was not served: $@" =~ s/\n$//r) unless $good;
        POSIX::_exit($good ? 0 : 1);
    }
}

my ($host, @command) = @ARGV;
serve_all() if "@ARGV" eq 'serve';
if ("@ARGV" eq 'last') { print last_wal(), "\n"; exit }
die "usage: store.pl serve | HOST COMMAND...\n" unless @command;
$SIG{PIPE} = 'IGNORE';
my $status = eval { ask($host, @command) };
print STDERR "store.pl: $host: $@" unless defined $status;
exit($status // 2);
