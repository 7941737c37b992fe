#!/bin/bash
# enter.sh ROOT SRC TMP OUT DOCKERD FOLDER COMMAND...
# Runs COMMAND in FOLDER, with ROOT as its root file system. SRC, read-only, is
# its /src, TMP its /tmp, and OUT its /out. DOCKERD, if it is not empty, takes
# the place of the packaged dockerd. What COMMAND changes elsewhere is lost.
#
# All of it is in a mount and a process namespace: no mount, named network
# namespace or process outlives it. The root is changed by pivot_root and not by
# chroot: runc enters a container by its mount namespace's root, which a chroot
# does not change, so that docker exec would land in the machine's own files.
set -eu
exec unshare --mount --pid --fork --kill-child --propagation private bash -c '
	set -eu
	root=$1 src=$2 tmp=$3 out=$4 dockerd=$5 folder=$6
	shift 6
	changes=$(mktemp -d)
	mount -t tmpfs tmpfs "$changes"
	mkdir "$changes/upper" "$changes/work" "$changes/root"
	mount -t overlay overlay -o "lowerdir=$root,upperdir=$changes/upper,workdir=$changes/work" "$changes/root"
	cd "$changes/root"
	mount -t proc proc proc
	mount --rbind /sys sys
	mount --rbind /dev dev
	mount -t tmpfs tmpfs run
	mkdir -p src out old run/openvswitch
	mount --bind "$src" src
	mount -o remount,bind,ro src
	mount --bind "$tmp" tmp
	mount --bind "$out" out
	if [ -n "$dockerd" ]; then
		packaged=usr/sbin/dockerd
		[ -e "$packaged" ] || packaged=usr/bin/dockerd
		mount --bind "$dockerd" "$packaged"
	fi
	pivot_root . old
	cd "/src/$folder"
	umount -l /old
	# This shell stays: it reaps what the command leaves behind.
	env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		HOME=/root LANG=C.UTF-8 TMPDIR=/tmp CI="${CI-}" TESTENV_DOCKERD_FLAGS="${TESTENV_DOCKERD_FLAGS-}" \
		${DOCKER_API_VERSION:+"DOCKER_API_VERSION=$DOCKER_API_VERSION"} "$@"
' enter "$@"
