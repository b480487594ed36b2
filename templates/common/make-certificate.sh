# This pod's certificate, signed by nobody but itself: who listens in on a connection learns
# nothing. A new one at each start of the container; its key is for this user alone, and never on
# the volume of the data. (The official image has openssl: PostgreSQL's package needs ssl-cert, and
# that needs openssl.)
make_certificate() {
	local ask=(-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650)
	rm -rf /tmp/tls
	(umask 077 && mkdir /tmp/tls && openssl req "${ask[@]}" -subj "/CN=$HOSTNAME" \
		-keyout /tmp/tls/tls.key -out /tmp/tls/tls.crt >/tmp/openssl.log 2>&1) || {
		log "no certificate, so nothing is started (tls: off needs none): $(tail -n 1 /tmp/openssl.log)"
		exit 1
	}
}
