#!/usr/bin/env bash
# Prints the folder of the Linux guest's image (vmlinuz, vmlinux, initramfs.cpio.gz), building it when its inputs changed.
#
#   build-image.sh             build it if need be (downloads about 70 MB the first time, no root needed)
#   build-image.sh --print     only find it; exit 1 when it is not built
#   build-image.sh --refresh   take the newest kernel of the machine's Debian release instead of the one downloaded before
#
# Kernel and busybox are Debian's own packages, unpacked, never installed, from the machine's own Debian mirror.
# Inputs beside this script: init, modules.txt, tools/*.[ch]. Needs a C compiler that can link statically.
# The folder's path is all that goes to standard output; progress and errors go to standard error.
# Environment: EMULATOR_CACHE (default: .cache in the repository), CC.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../common.sh"

# The guest is always x86-64, whatever the host is.
architecture=amd64
images=$cache/guests/linux
packages=$images/packages
remedy="pass a kernel and an initramfs of your own"

# Whatever decides what the image contains, but for the downloaded packages, which the folder's name carries.
fingerprint() { cat "$here"/{build-image.sh,init,modules.txt} "$here"/tools/*.[ch] | sha256sum | cut -c 1-12; }

find_image() {
    local found version
    # One kernel at a time is in use: the one downloaded last.
    version=$(readlink "$packages" 2>/dev/null) || return
    found=$images/${version#packages-}-$(fingerprint)
    [ -r "$found/initramfs.cpio.gz" ] && echo "$found"
}

fetch_packages() {
    local kernel version
    require_debian "$remedy"
    say "Fetching Debian's kernel and busybox for the guest (about 80 MB) ..."
    apt_open guest "$architecture" < <(own_release_sources)
    retry apt_get update || fail_download
    kernel=$(apt_cache depends linux-image-amd64 | awk '$1 == "Depends:" && $2 ~ /^linux-image-/ { print $2; exit }')
    [ -n "$kernel" ] || die "Debian's $(codename) has no linux-image-amd64; $remedy"
    mkdir "$work/packages"
    (cd "$work/packages" && retry apt_get download "$kernel" busybox-static) || fail_download
    version=$(dpkg-deb -f "$work/packages/$kernel"_*.deb Version | tr -c '[:alnum:].+~\n-' _)
    finish_work "$work/packages" "$images/packages-$version"
    ln -sfn "packages-$version" "$packages"
}

fail_download() {
    tail -n 5 "$work/log" >&2 || true
    die "could not download the guest's kernel; run again when the network is back, or $remedy"
}

# wanted_modules TREE - the .ko files of modules.txt and of all they depend on, as each says in its own .modinfo section.
wanted_modules() {
    local queue name file depends soft
    mapfile -t queue < <(sed 's/#.*//; s/[[:space:]]//g; /^$/d' "$here/modules.txt")
    declare -A seen=()
    while [ ${#queue[@]} -gt 0 ]; do
        name=${queue[0]//-/_}
        queue=("${queue[@]:1}")
        [ -z "${seen[$name]:-}" ] || continue
        seen[$name]=1
        file=$(find "$1/kernel" -name "${name//_/[-_]}.ko" -print -quit)
        if [ -z "$file" ]; then
            # Built into the kernel is as good as loaded.
            grep -q "/${name//_/[-_]}\.ko" "$1/modules.builtin" && continue
            die "modules.txt: the kernel has no module $name"
        fi
        echo "$file"
        depends=$(tr '\0' '\n' <"$file" | sed -n 's/^depends=//p' | tr ',' ' ')
        soft=$(tr '\0' '\n' <"$file" | sed -n 's/^softdep=pre: *//p' | sed 's/post:.*//')
        # shellcheck disable=SC2206 # words are wanted
        queue+=($depends $soft)
    done
}

# unpack_kernel VMLINUZ VMLINUX - the ELF kernel inside a bzImage (Linux Documentation/arch/x86/boot.rst: setup_sects, payload_offset,
# payload_length). QEMU starts it directly, which saves the guest 3 of its 5 seconds: it need not unpack itself under emulation.
unpack_kernel() {
    local setup offset length unpack
    setup=$((($(od -An -tu1 -j 497 -N 1 "$1") + 1) * 512))
    offset=$((setup + $(od -An -tu4 -j 584 -N 4 "$1")))
    length=$(($(od -An -tu4 -j 588 -N 4 "$1") - 4)) # the last four bytes are the unpacked size
    case $(od -An -tx1 -j "$offset" -N 4 "$1") in
        ' fd 37 7a 58') unpack=xz ;;
        ' 28 b5 2f fd') unpack=zstd ;;
        ' 1f 8b'*) unpack=gzip ;;
        *) return 1 ;;
    esac
    ensure_packages "$unpack:${unpack/%xz/xz-utils}"
    head -c "$((offset + length))" "$1" | tail -c "$length" | "$unpack" -dc >"$2"
}

build() {
    ensure_packages flock:util-linux gzip:gzip xz:xz-utils
    local compiler=${CC:-}
    if [ -z "$compiler" ] && [ "$(uname -m)" = x86_64 ]; then
        ensure_packages gcc:gcc,libc6-dev
        compiler=gcc
    elif [ -z "$compiler" ]; then
        ensure_packages x86_64-linux-gnu-gcc:gcc-x86-64-linux-gnu,libc6-dev-amd64-cross
        compiler=x86_64-linux-gnu-gcc
    fi
    begin_work "$images"
    [ "$refresh" ] || ! find_image || return 0 # another run was faster
    [ ! "$refresh" ] && [ -e "$packages/." ] || fetch_packages

    find_image && return # --refresh found nothing newer
    local version release image source tree busybox module
    version=$(readlink "$packages")
    version=${version#packages-}
    image=$images/$version-$(fingerprint)

    say "Building the guest image (Linux $version) ..."
    dpkg-deb -x "$packages"/linux-image-*.deb "$work/kernel"
    dpkg-deb -x "$packages"/busybox-static_*.deb "$work/busybox"
    release=$(cd "$work/kernel/boot" && echo vmlinuz-*)
    release=${release#vmlinuz-}
    source=$work/kernel/lib/modules/$release
    [ -d "$source" ] || source=$work/kernel/usr/lib/modules/$release
    find "$source" -name '*.ko.xz' -exec xz -d {} +
    busybox=$(find "$work/busybox" -name busybox -type f -perm -u+x)

    tree=$work/tree
    mkdir -p "$tree/bin" "$tree/lib/modules/$release" "$work/image"
    cp "$busybox" "$tree/bin/busybox"
    cp "$here/init" "$tree/init"
    wanted_modules "$source" >"$work/modules" # a failure in here must stop us, as in a pipe it would not
    while read -r module; do
        mkdir -p "$tree/lib/modules/$release/$(dirname "${module#"$source"/}")"
        cp "$module" "$tree/lib/modules/$release/${module#"$source"/}"
    done <"$work/modules"
    cp "$source/modules.builtin" "$tree/lib/modules/$release/"
    "$busybox" depmod -b "$tree" "$release" || die "depmod failed"
    for source in "$here"/tools/*.c; do
        "$compiler" -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -static -s -Wl,--build-id=none -o "$tree/bin/$(basename "$source" .c)" "$source" ||
            die "cannot compile $source; it needs a C compiler with a static libc (Debian: gcc, libc6-dev)"
    done

    # The same inputs give the same bytes: one time, one owner, sorted names, fresh inode numbers.
    chmod -R u=rwX,go=rX "$tree"
    chmod 755 "$tree/init" "$tree"/bin/*
    find "$tree" -exec touch -h -d @0 {} +
    (cd "$tree" && find . -mindepth 1 | LC_ALL=C sort | sed 's,^\./,,' |
        "$busybox" cpio -o -H newc -R 0:0 --ignore-devno --renumber-inodes 2>/dev/null | gzip -n9) >"$work/image/initramfs.cpio.gz"
    cp "$work/kernel/boot/vmlinuz-$release" "$work/image/vmlinuz"
    unpack_kernel "$work/image/vmlinuz" "$work/image/vmlinux" || { rm -f "$work/image/vmlinux"; say "The kernel stays packed: the guest starts slower."; }
    finish_work "$work/image" "$image"
    say "Guest image ready: Linux $release, $(wc -l <"$work/modules") modules."
    echo "$image"
}

refresh=
case ${1:-} in
    '') find_image || build ;;
    --print) find_image || die "the Linux guest image is not built; run qemu-config/guests/linux/build-image.sh" ;;
    --refresh) refresh=yes; build ;;
    *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; [ "$1" = --help ] || exit 2 ;;
esac
