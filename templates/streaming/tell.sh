# A replica tells whoever asks on port 5433 whether it holds data: "empty NAME" or "data NAME". The
# primary asks before it creates a database (first-start.sh). Sourced by replica.sh.

tell_what_i_hold() {
	# shellcheck disable=SC2016 # Perl's variables
	perl -MIO::Socket::IP -e '
		my ($data, $name) = @ARGV;
		$SIG{PIPE} = "IGNORE";
		my @port = (LocalPort => 5433, Listen => 50, ReuseAddr => 1);
		my $door = IO::Socket::IP->new(@port, LocalHost => "::", V6Only => 0)
			|| IO::Socket::IP->new(@port, LocalHost => "0.0.0.0") || die "port 5433: $@";
		while (my $caller = $door->accept) {
			# A copy that is being replaced by a newer one is data, too.
			print $caller -e $data || -e "$data.old" ? "data" : "empty", " $name\n";
			close $caller;
		}' "$data" "$HOSTNAME" &
}
