#!/bin/sh
# docker.sh start|stop|restart|kill|reload
# The dockerd of the host in whose folder this file lies (LAB/HOST), in its
# network namespace (LAB-HOST). It has a containerd of its own: dockerd would
# take the machine's, if there is one. vfs copies files, and so works on every
# file system; the image is small. What is a flag here cannot be in daemon.json:
# dockerd refuses to start. The file docker/flags holds further flags. With
# Docker's nftables backend dockerd does not enable IP forwarding itself, and
# refuses to start without it.
set -eu

dir=$(cd "$(dirname "$0")" && pwd)
host=$(basename "$dir")
lab=$(basename "$(dirname "$dir")")
run="$dir/docker"
export DOCKER_HOST="unix://$run/docker.sock"

# One at a time, as with a service manager: the agent and a test may both ask.
exec 9>"$run/lock"
flock 9

# alive NAME: the daemon runs. A zombie has no namespace.
alive() {
	[ -s "$run/$1.pid" ] && read -r pid <"$run/$1.pid" && [ "/proc/$pid/ns/net" -ef "/run/netns/$lab-$host" ]
}

# launch NAME COMMAND...: the pidfile appears when the process is in the namespace.
launch() {
	name=$1
	shift
	rm -f "$run/$name.pid"
	setsid nsenter --net="/run/netns/$lab-$host" sh -c 'echo $$ >"$0"; exec "$@"' \
		"$run/$name.pid" "$@" </dev/null >>"$run/$name.log" 2>&1 9>&- &
}

# eventually WHAT COMMAND...: for 30 s.
eventually() {
	what=$1
	shift
	tries=0
	until "$@" >/dev/null 2>&1; do
		tries=$((tries + 1))
		if [ "$tries" -gt 600 ]; then
			echo "$host: $what: not within 30 s; the end of $run/dockerd.log:" >&2
			tail -5 "$run/dockerd.log" >&2
			return 1
		fi
		sleep 0.05
	done
}

# dockerd listens long before it answers: who asks once waits, without the cost
# of starting a client again and again.
answers() { { [ -S "$run/docker.sock" ] && docker version; } || { [ -s "$run/dockerd.pid" ] && gone dockerd; }; }
gone() { ! alive "$1"; }

start() {
	alive containerd || launch containerd containerd --config "$run/containerd.toml"
	if ! alive dockerd; then
		rm -f "$run/docker.pid" "$run/docker.sock"
		flags=$(cat "$run/flags")
		case $flags in
		*firewall-backend=nftables*) nsenter --net="/run/netns/$lab-$host" sysctl -qw net.ipv4.ip_forward=1 ;;
		esac
		# shellcheck disable=SC2086 # each word is a flag
		launch dockerd dockerd --containerd "$run/containerd.sock" --config-file "$dir/daemon.json" \
			--data-root "$run/data" --exec-root "$run/exec" -H "$DOCKER_HOST" --pidfile "$run/docker.pid" \
			--storage-driver vfs --cgroup-parent "/$lab/$host" --exec-opt native.cgroupdriver=cgroupfs $flags
	fi
	eventually "dockerd answers" answers
	if gone dockerd; then
		echo "$host: dockerd ended; the end of $run/dockerd.log:" >&2
		tail -5 "$run/dockerd.log" >&2
		return 1
	fi
}

# stop SIGNAL
stop() {
	if alive dockerd; then
		kill -s "$1" "$(cat "$run/dockerd.pid")"
		eventually "dockerd ends" gone dockerd
	fi
}

case ${1-} in
start) start ;;
stop) stop TERM ;;
kill) stop KILL ;;
reload) ! alive dockerd || kill -s HUP "$(cat "$run/dockerd.pid")" ;;
restart)
	stop TERM
	start
	;;
*)
	sed -n 2p "$0" >&2
	exit 2
	;;
esac
