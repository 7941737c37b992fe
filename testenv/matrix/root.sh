#!/bin/bash
# root.sh SUITE DIR
# Makes a root file system of a Debian release in DIR, with the packages that
# the tests need. The mirror is the first one of this machine's apt that has
# the release. It runs in a mount namespace of its own: its mounts end with it,
# also if it is killed.
set -eu
suite=$1 root=$2

packages="docker.io docker-cli containerd openvswitch-switch iproute2 iputils-ping nftables iptables
busybox-static tcpdump iperf3 util-linux procps kmod"

# An older debootstrap has no script for a newer release. All of them are alike.
scripts=/usr/share/debootstrap/scripts
script=$scripts/$suite
[ -e "$script" ] || script=$scripts/sid

eval "$(apt-config shell http_proxy Acquire::http::Proxy https_proxy Acquire::https::Proxy)"
export http_proxy=${http_proxy-} https_proxy=${https_proxy-}

# Without a mirror debootstrap takes its own.
mirror=
while read -r uri; do
	if wget -q --spider "${uri%/}/dists/$suite/Release"; then
		mirror=$uri
		break
	fi
done < <(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sort -u | grep '^http')

debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" ${mirror:+"$mirror" "$script"}

cp /etc/resolv.conf "$root/etc/resolv.conf"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # the packages' services are not started
chmod +x "$root/usr/sbin/policy-rc.d"
printf 'path-exclude=/usr/share/%s/*\n' doc man locale >"$root/etc/dpkg/dpkg.cfg.d/small"
printf 'Acquire::Check-Valid-Until "false";\n' >"$root/etc/apt/apt.conf.d/99mirror" # a mirror may stand still

mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
chroot "$root" apt-get update -qq
# shellcheck disable=SC2086 # each word is a package
chroot "$root" apt-get install -y -qq --no-install-recommends $packages
chroot "$root" apt-get clean
rm -rf "$root"/var/lib/apt/lists/*
