#!/usr/bin/env bash
# Builds the guests' drivers, for x64 and x86, into out/drivers/{x64,x86}, each binary with its linker map, signs them with a test
# certificate of this checkout's own, looks at every binary with objdump and fails on one that NT would not load, and puts them on
# out/drivers.iso. The certificate's key stays in out/drivers/.signing. When no source, header or tool has changed there is nothing to do.
# Usage: build.sh [--out FOLDER] [EMULATOR]
# EMULATOR is the built emulator, which writes the register headers; by default the one `make emulator` leaves.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../qemu-config/common.sh"

out=$repository/out/drivers
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

signing=$out/.signing
# The certificate is made once for a checkout, so that a guest which trusts it trusts the next build too.
if [ ! -f "$signing/certificate.pem" ]; then
    mkdir -p "$work/signing"
    (umask 077 && openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj '/CN=Device emulator test signing' -addext keyUsage=digitalSignature \
        -addext extendedKeyUsage=codeSigning -keyout "$work/signing/key.pem" -out "$work/signing/certificate.pem") 2>"$work/log" \
        || die "cannot make a certificate: $(cat "$work/log")"
    finish_work "$work/signing" "$signing"
fi

# built_from - one hash over all that the result comes from: the files of this folder, the generated headers, the tools, the certificate.
built_from() {
    {
        find . ../qemu-config/common.sh "$signing" -type f ! -name '*.md' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
        (cd "$headers" && sha256sum -- *)
        x86_64-w64-mingw32-gcc --version
        i686-w64-mingw32-gcc --version
        osslsigncode --version
    } | sha256sum
}

# Its first line: what it was built from; then the hash of each result.
stamp=$out/.stamp from=$(built_from)
if [ -f "$stamp" ] && [ "$(head -n 1 "$stamp")" = "$from" ] && (cd "$out" && tail -n +2 "$stamp" | sha256sum --status -c -); then
    say "Drivers in ${out#"$repository/"}, and on ${out#"$repository/"}.iso, are up to date"
    exit
fi

signer=(osslsigncode sign -h sha256 -ph -certs "$signing/certificate.pem" -key "$signing/key.pem" -n "Device emulator drivers")

# use_machine x64|x86 - the compiler and its flags. Machines are built at the same time: what one writes on the way is its own.
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
        prefix=i686-w64-mingw32 entry=_GsDriverEntry@8 fx=_FxDriverEntry@8 base=0x10000
        init=GeneralRobotInit@12 bind=WdfVersionBind@16 unbind=WdfVersionUnbind@12
        # Unwind tables are for x64: NT finds its way through x86 stacks by their frames.
        common+=(-D_X86_ -march=i686 -mno-sse -mno-mmx -mpreferred-stack-boundary=2 -fno-asynchronous-unwind-tables)
        dll=(-m i386 -k)
        ;;
    esac
    common+=(-isystem "/usr/$prefix/include/ddk")
    bin=$work/$machine own=$work/own-$machine
    mkdir -p "$bin" "$own"
    # The linker sorts imports by the paths of their libraries: a relative one comes first wherever the repository is.
    imports=$(realpath --relative-to=. "$own")
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
        "-Wl,-Map,$bin/$name.map" -o "$bin/$name.sys" "${sources[@]}" "$own/gs.o" "${libraries[@]}" -lntoskrnl -lhal -lgcc \
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
    "$prefix-gcc" "${common[@]}" -c -o "$own/gs.o" include/gs.c || die "gs.c for $machine does not build"
    printf 'LIBRARY GeneralRobot.sys\nEXPORTS\n    %s\n' "$init" >"$own/GeneralRobot.def"
    "$prefix-dlltool" "${dll[@]}" -d "$own/GeneralRobot.def" -l "$own/libgeneralrobot.a"
    driver GeneralRobot robot/general/*.c
    driver ProsewareRobot robot/proseware/proseware.c -- "$imports/libgeneralrobot.a"
    driver ContosoRobot robot/contoso/contoso.c -- "$imports/libgeneralrobot.a"
    driver AfterThought robot/afterthought/afterthought.c
    printf 'LIBRARY WDFLDR.SYS\nEXPORTS\n    %s\n    %s\n' "$bind" "$unbind" >"$own/wdfldr.def"
    "$prefix-dlltool" "${dll[@]}" -d "$own/wdfldr.def" -l "$own/libwdfldr.a"
    entry=$fx driver KmdfRobot robot/kmdf/*.c -- "$imports/libwdfldr.a"
    program robotctl tools/robotctl.c -lsetupapi
    program stacks tools/stacks.c -lsetupapi
    for name in ProsewareRobot ContosoRobot KmdfRobot; do cp robot/robot.requests "$bin/$name.requests"; done
    setup_file robot/proseware/ProsewareRobot.inf
    setup_file robot/contoso/ContosoRobot.inf
    setup_file robot/kmdf/KmdfRobot.inf
    setup_file parport/parport-card.inf
}

# sign_files FILE... - in place, with page hashes, which NT asks of what is loaded at boot. The checksum is written anew.
sign_files() {
    local file
    for file in "$@"; do
        "${signer[@]}" -in "$file" -out "$own/signed" >"$own/log" 2>&1 || die "cannot sign $file: $(cat "$own/log")"
        mv "$own/signed" "$file"
    done
}

# wide TEXT - as UTF-16, with its zero, in hexadecimal.
wide() { { printf '%s' "$1" | iconv -t UTF-16LE; printf '\0\0'; } | od -An -v -tx1 | tr -d ' \n'; }

# hash_of FILE - SHA-256 as a catalog holds it: of a driver what its signature is over, of another file the whole.
hash_of() {
    case $1 in
    *.sys) osslsigncode verify -CAfile "$signing/certificate.pem" -in "$1" | sed -n 's/^Calculated message digest *: *\([0-9A-F]*\).*/\1/p' ;;
    *) sha256sum "$1" | cut -d ' ' -f 1 | tr a-f A-F ;;
    esac
}

# catalog INF DRIVER... - a signed .cat for an INF and the drivers it copies: a certificate trust list whose members are their hashes,
# written in the notation of openssl's asn1parse. All in the folder of the machine.
catalog() {
    local name=${1%.inf} file n=0 hash kind members='' bodies=''
    for file in "$@"; do
        hash=$(hash_of "$bin/$file")
        [ ${#hash} -eq 64 ] || die "no hash of $file for the catalog"
        case $file in
        *.sys) kind=pe guid={C689AAB8-8E78-11D0-8C47-00C04FC295EE} ;;
        *) kind=flat guid={DE351A42-8E59-11D0-8C47-00C04FC295EE} ;;
        esac
        members+="m$n=SEQUENCE:m$n"$'\n'
        bodies+="
[m$n]
tag=FORMAT:HEX,OCT:$hash
attributes=SET:m${n}_attributes
[m${n}_attributes]
file=SEQUENCE:m${n}_file
member=SEQUENCE:m${n}_member
data=SEQUENCE:m${n}_data
[m${n}_file]
type=OID:1.3.6.1.4.1.311.12.2.1
values=SET:m${n}_file_values
[m${n}_file_values]
value=SEQUENCE:m${n}_file_value
[m${n}_file_value]
name=BMP:File
flags=INTEGER:0x10010001
text=FORMAT:HEX,OCT:$(wide "$file")
[m${n}_member]
type=OID:1.3.6.1.4.1.311.12.2.2
values=SET:m${n}_member_values
[m${n}_member_values]
value=SEQUENCE:m${n}_member_value
[m${n}_member_value]
guid=BMP:$guid
version=INTEGER:512
[m${n}_data]
type=OID:1.3.6.1.4.1.311.2.1.4
values=SET:m${n}_data_values
[m${n}_data_values]
value=SEQUENCE:m${n}_data_value
[m${n}_data_value]
data=SEQUENCE:$kind
digest=SEQUENCE:m${n}_digest
[m${n}_digest]
algorithm=SEQUENCE:sha256
hash=FORMAT:HEX,OCT:$hash
"
        n=$((n + 1))
    done
    cat >"$own/catalog.cnf" <<END
asn1=SEQUENCE:content
[content]
type=OID:1.2.840.113549.1.7.2
signed=EXPLICIT:0,SEQUENCE:signed
[signed]
version=INTEGER:1
digests=SET
content=SEQUENCE:trust
signers=SET
[trust]
type=OID:1.3.6.1.4.1.311.10.1
list=EXPLICIT:0,SEQUENCE:list
[list]
usage=SEQUENCE:usage
identifier=FORMAT:HEX,OCT:$(printf '%s %s' "$machine" "$name" | sha256sum | cut -c 1-32)
time=UTCTIME:260115000000Z
algorithm=SEQUENCE:algorithm
members=SEQUENCE:members
extensions=EXPLICIT:0,SEQUENCE:extensions
[usage]
catalog=OID:1.3.6.1.4.1.311.12.1.1
[algorithm]
type=OID:1.3.6.1.4.1.311.12.1.3
parameters=NULL
[extensions]
system=SEQUENCE:system
[system]
type=OID:1.3.6.1.4.1.311.12.2.1
value=OCTWRAP,SEQUENCE:system_value
[system_value]
name=BMP:OS
flags=INTEGER:0x10010001
text=FORMAT:HEX,OCT:$(wide "2:5.2,2:6.1,2:10.0")
[sha256]
type=OID:2.16.840.1.101.3.4.2.1
parameters=NULL
[pe]
type=OID:1.3.6.1.4.1.311.2.1.15
image=SEQUENCE:image
[image]
flags=FORMAT:BITLIST,BITSTRING:0,2
link=EXPLICIT:0,EXPLICIT:2,IMPLICIT:0,BMP:<<<Obsolete>>>
[flat]
type=OID:1.3.6.1.4.1.311.2.1.25
link=EXPLICIT:2,IMPLICIT:0,BMP:<<<Obsolete>>>
[members]
$members$bodies
END
    openssl asn1parse -genconf "$own/catalog.cnf" -noout -out "$bin/$name.cat" 2>"$own/log" || die "cannot write $name.cat: $(cat "$own/log")"
    sign_files "$bin/$name.cat"
}

# check_catalog FILE DRIVER... - it is signed, and has the drivers.
check_catalog() {
    local file
    for file in "${@:2}"; do
        osslsigncode verify -CAfile "$signing/certificate.pem" -catalog "$bin/$1" -in "$bin/$file" >"$own/log" 2>&1 || die "$1: $file: $(cat "$own/log")"
    done
}

# check_driver FILE - what NT asks of it before it loads it.
check_driver() {
    local headers imports unknown
    headers=$("$prefix-objdump" -x "$1")
    grep -q '^Subsystem.*(NT native)' <<<"$headers" || die "$1: subsystem is not native"
    grep -q '\.reloc' <<<"$headers" || die "$1: no relocations"
    osslsigncode verify -CAfile "$signing/certificate.pem" -in "$1" >"$own/log" 2>&1 || die "$1: signature: $(cat "$own/log")"
    grep -q '^CheckSum[[:space:]]*0*$' <<<"$headers" && die "$1: no checksum"
    imports=$(sed -n 's/^[[:space:]]*DLL Name: //p' <<<"$headers")
    unknown=$(grep -vixE 'ntoskrnl\.exe|hal\.dll|GeneralRobot\.sys|WDFLDR\.SYS' <<<"$imports") && die "$1: imports from $unknown"
    printf '  %-4s %-18s %6d bytes, imports %s\n' "$machine" "$(basename "$1")" "$(stat -c %s "$1")" "$(paste -sd ' ' <<<"$imports")"
}

# make_machine x64|x86 - everything for it: built, signed, with catalogs, and checked.
make_machine() {
    use_machine "$1"
    build
    sign_files "$bin"/*.sys
    local setup file
    for setup in "${!members[@]}"; do
        # shellcheck disable=SC2086
        catalog "$setup.inf" ${members[$setup]}
    done
    for file in "$bin"/*.sys; do check_driver "$file"; done
    # shellcheck disable=SC2086
    for setup in "${!members[@]}"; do check_catalog "$setup.cat" ${members[$setup]}; done
}

# What each INF copies.
declare -A members=(
    [ProsewareRobot]='ProsewareRobot.sys GeneralRobot.sys AfterThought.sys'
    [ContosoRobot]='ContosoRobot.sys GeneralRobot.sys AfterThought.sys'
    [KmdfRobot]='KmdfRobot.sys AfterThought.sys'
    [parport-card]=''
)

declare -A jobs
trap 'kill "${jobs[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT
for machine in x64 x86; do
    make_machine "$machine" >"$work/$machine.said" 2>&1 &
    jobs[$machine]=$!
done
failed=false
for machine in x64 x86; do
    wait "${jobs[$machine]}" || failed=true
    unset "jobs[$machine]"
    cat "$work/$machine.said" >&2
done
$failed && exit 1

openssl x509 -in "$signing/certificate.pem" -outform DER -out "$work/test-signing.cer"
mkdir "$work/iso"
cp -r "$work/x64" "$work/x86" "$work/test-signing.cer" "$work/iso/"
rm "$work"/iso/*/*.{map,requests}
genisoimage -quiet -J -r -V DRIVERS -o "$work/drivers.iso" "$work/iso" 2>"$work/log" || die "cannot write the ISO: $(cat "$work/log")"

finish_work "$work/test-signing.cer" "$out/test-signing.cer"
finish_work "$work/drivers.iso" "$out.iso"
for machine in x64 x86; do finish_work "$work/$machine" "$out/$machine"; done
{ echo "$from"; (cd "$out" && sha256sum -- x64/* x86/* test-signing.cer "../$(basename "$out").iso"); } >"$work/stamp"
finish_work "$work/stamp" "$stamp"
say "Drivers in ${out#"$repository/"}, and on ${out#"$repository/"}.iso"
