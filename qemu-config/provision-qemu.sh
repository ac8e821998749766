#!/usr/bin/env bash
# Prints the path of a QEMU that can host our devices (>= 10.1, with vfio-user-pci), provisioning one when the machine has none.
#
#   provision-qemu.sh           find it, else fetch it from Debian into the cache (about 40 MB, no root needed)
#   provision-qemu.sh --print   only find it; exit 1 when there is none
#
# Order: $QEMU, qemu-system-x86_64 in PATH, the cache, Debian's trixie-backports through the machine's own Debian mirror.
# The path is all that goes to standard output; progress and errors go to standard error.
# Environment: QEMU, EMULATOR_CACHE (default: .cache in the repository).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

suite=trixie
remedy="install QEMU >= 10.1 yourself and set QEMU=/path/to/qemu-system-x86_64"

# version_of QEMU - its version, or nothing.
version_of() { "$1" --version 2>/dev/null | sed -n 's/^QEMU emulator version \([0-9][0-9.]*\).*/\1/p' || true; }

# serves QEMU - true when it is new enough and knows the device. Sets $why otherwise.
serves() {
    local version
    version=$(version_of "$1")
    if [ -z "$version" ]; then
        why="$1 does not start or is no QEMU"
    elif [ "$(printf '%s\n10.1\n' "$version" | sort -V | head -n 1)" != 10.1 ]; then
        why="$1 is version $version; vfio-user-pci needs 10.1"
    elif ! "$1" -machine none -device vfio-user-pci,help >/dev/null 2>&1; then
        why="$1 ($version) was built without vfio-user-pci"
    else
        return 0
    fi
    return 1
}

find_qemu() {
    local found
    if [ -n "${QEMU:-}" ]; then
        found=$(command -v "$QEMU") || die "QEMU=$QEMU: no such program"
        serves "$found" || die "QEMU=$QEMU: $why"
        echo "$found"
    elif found=$(command -v qemu-system-x86_64) && serves "$found"; then
        echo "$found"
    else
        # A version's folder appears by one rename after its QEMU has proved itself, so being there is enough.
        found=$(ls -d "$cache"/qemu/[0-9]*/qemu-system-x86_64 2>/dev/null | sort -V | tail -n 1)
        [ -n "$found" ] && [ -x "$found" ] && echo "$found"
    fi
}

# fetch_packages URI KEY TRUSTED - downloads QEMU and everything it needs, down to libc, from that mirror.
fetch_packages() {
    apt_open qemu "$(dpkg --print-architecture)" < <(printf "$1\t%s\tmain\t$2\t$3\n" "$suite" "$suite-backports")
    retry apt_get update || return
    retry apt_get install --download-only -t "$suite-backports" qemu-system-x86
}

# newer_keyring - Debian's archive keys as the machine's own release now ships them, authenticated by the keys the machine has.
newer_keyring() {
    apt_open keyring "$(dpkg --print-architecture)" < <(own_release_sources)
    retry apt_get update && (cd "$work" && retry apt_get download debian-archive-keyring) || return
    dpkg-deb -x "$work"/debian-archive-keyring_*.deb "$work/keyring"
    keyring=$work/keyring/usr/share/keyrings/debian-archive-keyring.gpg
    [ -r "$keyring" ]
}

provision() {
    ensure_packages flock:util-linux
    begin_work "$cache/qemu"
    find_qemu && return # another run was faster
    require_debian "$remedy"
    say "Fetching QEMU from Debian's $suite-backports (about 40 MB) ..."

    # The machine's main Debian mirror carries every suite; one whose path says so goes first, third parties last.
    local uri _suite _parts key trusted fetched='' keyring
    while IFS=$'\t' read -r uri _suite _parts key trusted; do
        fetch_packages "$uri" "$key" "$trusted" && { fetched=yes; break; }
        if grep -q NO_PUBKEY "$work/log" && newer_keyring; then
            fetch_packages "$uri" "$keyring" - && { fetched=yes; break; }
        fi
    done < <(own_release_sources | awk -F '\t' '$2 !~ /[-\/]/ { print ($1 ~ /\/debian\/?$/ ? 0 : 1) "\t" $0 }' | sort -s -k1,1n | cut -f 2- | uniq)
    if [ -z "$fetched" ]; then
        tail -n 5 "$work/log" >&2 || true
        die "could not download QEMU; run again when the network is back, or $remedy"
    fi

    say "Unpacking ..."
    local package root=$work/qemu/root
    mkdir -p "$root"
    for package in "$apt"/cache/archives/*.deb; do dpkg-deb -x "$package" "$root"; done
    # Only QEMU, its libraries and its firmware stay: above all no program that runs with another user's rights.
    find "$root/usr/bin" -mindepth 1 ! -name 'qemu-system-x86_64*' -delete
    rm -rf "$root"/{bin,sbin,boot,dev,etc,home,media,mnt,opt,proc,root,run,srv,sys,tmp,var} "$root"/usr/{sbin,libexec,games,include,src,local}
    rm -rf "$root"/usr/share/{doc,man,locale,info,bash-completion,lintian,zoneinfo,perl*} "$root"/usr/lib/*-linux-gnu/{gconv,perl*,security}
    find "$root" -perm /6000 -exec chmod a-s {} +

    cat >"$work/qemu/qemu-system-x86_64" <<'END'
#!/bin/sh
# Starts this folder's QEMU with this folder's libc, libraries and firmware, whatever the machine has.
root=$(dirname "$(readlink -f "$0")")/root
loader=$(echo "$root"/usr/lib/*-linux-gnu/ld-linux*.so.*)
libraries=${loader%/*}
export QEMU_MODULE_DIR="$libraries/qemu"
exec "$loader" --library-path "$libraries:$libraries/pulseaudio" --argv0 qemu-system-x86_64 "$root/usr/bin/qemu-system-x86_64" \
    -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" -L "$root/usr/lib/ipxe/qemu" "$@"
END
    chmod 755 "$work/qemu/qemu-system-x86_64"
    serves "$work/qemu/qemu-system-x86_64" || die "what Debian's $suite-backports offers does not serve: $why; $remedy"

    local version
    version=$(version_of "$work/qemu/qemu-system-x86_64")
    finish_work "$work/qemu" "$cache/qemu/$version"
    say "QEMU $version is ready."
    echo "$cache/qemu/$version/qemu-system-x86_64"
}

case ${1:-} in
    '') find_qemu || provision ;;
    --print) find_qemu || die "no QEMU >= 10.1 with vfio-user-pci here; run qemu-config/provision-qemu.sh, or $remedy" ;;
    *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; [ "$1" = --help ] || exit 2 ;;
esac
