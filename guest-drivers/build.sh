#!/usr/bin/env bash
# Builds the guests' drivers, for x64 and x86, into out/drivers/{x64,x86}, each binary with its linker map, signs them with a test
# certificate of this checkout's own, and puts them on out/drivers.iso. The certificate's key stays in out/drivers/.signing.
# Usage: build.sh [--check] [--out FOLDER] [EMULATOR]
# --check looks at every binary with objdump, and fails on one that NT would not load.
# EMULATOR is the built emulator, which writes the register headers; by default the one `make emulator` leaves.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../qemu-config/common.sh"

out=$repository/out/drivers check=false
if [ "${1:-}" = --check ]; then check=true; shift; fi
if [ "${1:-}" = --out ]; then out=$(realpath -m "${2:?--out needs a folder}"); shift 2; fi
emulator=$(realpath -m "${1:-$repository/artifacts/bin/Emulator.Cli/release/emulator}")
[ -x "$emulator" ] || die "no $emulator; run make emulator first"
ensure_packages x86_64-w64-mingw32-gcc:gcc-mingw-w64-x86-64 i686-w64-mingw32-gcc:gcc-mingw-w64-i686 \
    osslsigncode:osslsigncode genisoimage:genisoimage openssl:openssl
cd "$repository/guest-drivers"
begin_work "$out"

# What the models say of their registers.
headers=$work/include/generated
mkdir -p "$headers"
for model in proseware-robot contoso-robot; do
    "$emulator" regs "$model" --format c >"$headers/$model.h"
done

# use_machine x64|x86 - the compiler and its flags.
use_machine() {
    machine=$1
    common=(-std=gnu11 -O2 -ffreestanding -fno-exceptions -fstack-protector-strong -fno-ident -fno-strict-aliasing -ffunction-sections
        -fno-aggressive-loop-optimizations -Wall -Wextra -Werror -Wno-unknown-pragmas -Wno-multichar
        "-ffile-prefix-map=$work=." -D_WIN32_WINNT=0x0601 -DNTDDI_VERSION=0x06010000
        -Irobot/include -Iinclude "-I$work/include")
    case $machine in
    x64)
        prefix=x86_64-w64-mingw32 entry=GsDriverEntry fx=FxDriverEntry base=0x140000000 init=GeneralRobotInit bind=WdfVersionBind unbind=WdfVersionUnbind
        common+=(-D_AMD64_ -DAMD64 -mno-red-zone -fasynchronous-unwind-tables)
        dll=(-m i386:x86-64)
        ;;
    x86)
        prefix=i686-w64-mingw32 entry=_GsDriverEntry@8 fx=_FxDriverEntry@8 base=0x10000 init=GeneralRobotInit@12 bind=WdfVersionBind@16 unbind=WdfVersionUnbind@12
        common+=(-D_X86_ -march=i686 -mno-sse -mno-mmx -mpreferred-stack-boundary=2)
        dll=(-m i386 -k)
        ;;
    esac
    common+=(-isystem "/usr/$prefix/include/ddk")
    bin=$work/$machine
    mkdir -p "$bin"
}

# driver NAME SOURCE... [-- LIBRARY...] - a .sys and its map.
driver() {
    local name=$1 sources=() libraries=()
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do sources+=("$1"); shift; done
    [ $# -eq 0 ] || { shift; libraries=("$@"); }
    "$prefix-gcc" "${common[@]}" -nostdlib -nostartfiles "-Wl,--subsystem,native:6.1" "-Wl,--entry,$entry" "-Wl,--image-base,$base" \
        -Wl,--file-alignment,0x200 -Wl,--section-alignment,0x1000 -Wl,--major-os-version,6 -Wl,--minor-os-version,1 -Wl,--dynamicbase \
        -Wl,--nxcompat -Wl,--wdmdriver -Wl,--no-insert-timestamp -Wl,--exclude-all-symbols -Wl,--kill-at -Wl,--gc-sections -s \
        "-Wl,-Map,$bin/$name.map" -o "$bin/$name.sys" "${sources[@]}" include/gs.c "${libraries[@]}" -lntoskrnl -lhal -lgcc \
        || die "$name.sys for $machine does not build"
}

# program NAME SOURCE [LIBRARY]... - an .exe for the console, from NT 5.2 on.
program() {
    "$prefix-gcc" -std=gnu11 -O2 -Wall -Wextra -Werror "-ffile-prefix-map=$work=." -D_WIN32_WINNT=0x0502 -Iinclude -static -s \
        -Wl,--subsystem,console:5.2 -Wl,--no-insert-timestamp -Wl,--dynamicbase -Wl,--nxcompat -o "$bin/$1.exe" "$2" "${@:3}" \
        || die "$1.exe for $machine does not build"
}

# setup_file FILE - an INF, with the line ends that Windows wants, whatever the checkout has.
setup_file() { sed 's/\r*$/\r/' "$1" >"$bin/$(basename "$1")"; }

build() {
    use_machine "$1"
    printf 'LIBRARY GeneralRobot.sys\nEXPORTS\n    %s\n' "$init" >"$bin/GeneralRobot.def"
    "$prefix-dlltool" "${dll[@]}" -d "$bin/GeneralRobot.def" -l "$bin/libgeneralrobot.a"
    driver GeneralRobot robot/general/*.c
    driver ProsewareRobot robot/proseware/proseware.c -- "$bin/libgeneralrobot.a"
    driver ContosoRobot robot/contoso/contoso.c -- "$bin/libgeneralrobot.a"
    driver AfterThought robot/afterthought/afterthought.c
    printf 'LIBRARY WDFLDR.SYS\nEXPORTS\n    %s\n    %s\n' "$bind" "$unbind" >"$bin/wdfldr.def"
    "$prefix-dlltool" "${dll[@]}" -d "$bin/wdfldr.def" -l "$bin/libwdfldr.a"
    entry=$fx driver KmdfRobot robot/kmdf/*.c -- "$bin/libwdfldr.a"
    rm "$bin/wdfldr.def" "$bin/libwdfldr.a"
    program robotctl tools/robotctl.c -lsetupapi
    program stacks tools/stacks.c -lsetupapi
    setup_file robot/proseware/ProsewareRobot.inf
    setup_file robot/contoso/ContosoRobot.inf
    setup_file robot/kmdf/KmdfRobot.inf
    setup_file parport/parport-card.inf
    rm "$bin/GeneralRobot.def" "$bin/libgeneralrobot.a"
}

# sign_files FILE... - in place, with page hashes, which NT asks of what is loaded at boot. The checksum is written anew.
sign_files() {
    local file
    for file in "$@"; do
        "${signer[@]}" -in "$file" -out "$work/signed" >"$work/log" 2>&1 || die "cannot sign $file: $(cat "$work/log")"
        mv "$work/signed" "$file"
    done
}

# check_driver FILE - what NT asks of it before it loads it.
check_driver() {
    local headers imports unknown
    headers=$("$prefix-objdump" -x "$1")
    grep -q '^Subsystem.*(NT native)' <<<"$headers" || die "$1: subsystem is not native"
    grep -q '\.reloc' <<<"$headers" || die "$1: no relocations"
    osslsigncode verify -CAfile "$signing/certificate.pem" -in "$1" >"$work/log" 2>&1 || die "$1: signature: $(cat "$work/log")"
    grep -q '^CheckSum[[:space:]]*0*$' <<<"$headers" && die "$1: no checksum"
    imports=$(sed -n 's/^[[:space:]]*DLL Name: //p' <<<"$headers")
    unknown=$(grep -vixE 'ntoskrnl\.exe|hal\.dll|GeneralRobot\.sys|WDFLDR\.SYS' <<<"$imports") && die "$1: imports from $unknown"
    printf '  %-4s %-18s %6d bytes, imports %s\n' "$machine" "$(basename "$1")" "$(stat -c %s "$1")" "$(paste -sd ' ' <<<"$imports")"
}

build x64
build x86

# The certificate is made once for a checkout, so that a guest which trusts it trusts the next build too.
signing=$out/.signing
if [ ! -f "$signing/certificate.pem" ]; then
    mkdir -p "$work/signing"
    (umask 077 && openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj '/CN=Device emulator test signing' -addext keyUsage=digitalSignature \
        -addext extendedKeyUsage=codeSigning -keyout "$work/signing/key.pem" -out "$work/signing/certificate.pem") 2>"$work/log" \
        || die "cannot make a certificate: $(cat "$work/log")"
    finish_work "$work/signing" "$signing"
fi
signer=(osslsigncode sign -h sha256 -ph -certs "$signing/certificate.pem" -key "$signing/key.pem" -n "Device emulator drivers")
sign_files "$work"/x64/*.sys "$work"/x86/*.sys
openssl x509 -in "$signing/certificate.pem" -outform DER -out "$work/test-signing.cer"

if $check; then
    for machine in x64 x86; do
        use_machine "$machine"
        for file in "$bin"/*.sys; do check_driver "$file"; done
    done
fi

mkdir "$work/iso"
cp -r "$work/x64" "$work/x86" "$work/test-signing.cer" "$work/iso/"
rm "$work"/iso/*/*.map
genisoimage -quiet -J -r -V DRIVERS -o "$work/drivers.iso" "$work/iso" 2>"$work/log" || die "cannot write the ISO: $(cat "$work/log")"

finish_work "$work/test-signing.cer" "$out/test-signing.cer"
finish_work "$work/drivers.iso" "$out.iso"
for machine in x64 x86; do finish_work "$work/$machine" "$out/$machine"; done
say "Drivers in ${out#"$repository/"}, and on ${out#"$repository/"}.iso"
