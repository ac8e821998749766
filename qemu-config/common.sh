# Shared by the scripts of this folder (bash; sourced, not run).
# Nothing here touches the machine's own apt or dpkg state, and only ensure_packages, as root, installs anything.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${EMULATOR_CACHE:-$repository/.cache}
me=$(basename "$0")

say() { printf '%s\n' "$*" >&2; }
die() { say "$me: $*"; exit 1; }

# ensure_packages COMMAND:PACKAGE[,PACKAGE] ... - commands a fresh machine may lack, and the Debian packages that bring them.
# Installs the missing ones when run as root; otherwise prints the one command to run, and stops.
ensure_packages() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null 2>&1 || IFS=, read -ra missing <<<"${missing[*]:+${missing[*]},}${pair#*:}"
    done
    [ ${#missing[@]} -eq 0 ] && return
    command -v apt-get >/dev/null 2>&1 || die "missing commands; install what your system calls ${missing[*]}"
    [ "$(id -u)" -eq 0 ] || die "missing packages; run: sudo apt-get install -y ${missing[*]}"
    say "Installing ${missing[*]} ..."
    {
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" ||
            { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; }
    } >&2 || die "could not install ${missing[*]}"
}

# begin_work FOLDER - takes FOLDER's lock (waiting for another run that provisions the same), and makes $work inside it, which is
# removed however this run ends. What a killed run left behind is removed here. finish_work moves a complete result into place.
begin_work() {
    mkdir -p "$1" || die "cannot create $1; set EMULATOR_CACHE to a folder you may write to"
    exec 9>"$1/.lock"
    flock -n 9 || { say "Waiting for another run of $me ..."; flock 9; }
    rm -rf "$1"/.partial-*
    work=$1/.partial-$$
    mkdir "$work"
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

# finish_work FROM TO - one rename, so that TO is either absent or complete.
finish_work() { rm -rf "$2"; mv -T "$1" "$2"; }

# retry COMMAND... - three attempts; the command's last output is shown only when all have failed.
retry() {
    local attempt
    for attempt in 1 2 3; do
        "$@" >"$work/log" 2>&1 && return
        grep -q NO_PUBKEY "$work/log" && return 1 # waiting brings no key
        [ "$attempt" -lt 3 ] && sleep $((attempt * 2))
    done
    return 1
}

# machine_sources - the active Debian entries of the machine's apt configuration, either format, one a line:
# URI <tab> suite <tab> components <tab> signed-by <tab> trusted. Keys written inside a .sources file go to $work/keys.
machine_sources() {
    local file files=()
    mkdir -p "$work/keys"
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
        [ -r "$file" ] && files+=("$file")
    done
    [ ${#files[@]} -gt 0 ] || return 0
    awk -v keys="$work/keys" '
        function emit(types, uris, suites, parts, key, trusted,    i, j, u, s) {
            if (types !~ /(^| )deb( |$)/ || parts !~ /(^| )main( |$)/) return
            split(uris, u, " "); split(suites, s, " ")
            for (i = 1; i in u; i++)
                for (j = 1; j in s; j++)
                    if (u[i] !~ /^cdrom:/) printf "%s\t%s\t%s\t%s\t%s\n", u[i], s[j], parts, key == "" ? "-" : key, trusted == "" ? "-" : trusted
        }
        function stanza() {
            if (value["signed-by"] ~ /BEGIN PGP/) {
                name = keys "/" ++count ".asc"
                gsub(/\n \./, "\n", value["signed-by"]); gsub(/\n /, "\n", value["signed-by"]); sub(/^[ \n]*/, "", value["signed-by"])
                print value["signed-by"] > name; close(name)
                value["signed-by"] = name
            }
            gsub(/\n/, " ", value["uris"]); gsub(/\n/, " ", value["suites"]); gsub(/\n/, " ", value["components"]); gsub(/\n/, " ", value["signed-by"])
            if (tolower(value["enabled"]) !~ /^(no|false|0)$/)
                emit(value["types"], value["uris"], value["suites"], value["components"], value["signed-by"], value["trusted"])
            delete value; field = ""
        }
        FNR == 1 { if (deb822) stanza(); deb822 = FILENAME ~ /\.sources$/ }
        /^[ \t]*#/ { next }
        deb822 && /^[ \t]*$/ { stanza(); next }
        deb822 && /^[ \t]/ { value[field] = value[field] "\n" $0; next }
        deb822 { field = tolower($0); sub(/:.*/, "", field); text = $0; sub(/^[^:]*:[ \t]*/, "", text); value[field] = text; next }
        $1 == "deb" {
            line = $0; options = ""; sub(/#.*/, "", line); sub(/^[ \t]*deb[ \t]+/, "", line)
            if (match(line, /^\[[^\]]*\]/)) { options = substr(line, 2, RLENGTH - 2); line = substr(line, RLENGTH + 1) }
            key = trusted = parts = ""
            n = split(options, o, " ")
            for (i = 1; i <= n; i++) {
                if (o[i] ~ /^signed-by=/) { key = substr(o[i], 11); gsub(/,/, " ", key) }
                if (o[i] ~ /^trusted=/) trusted = substr(o[i], 9)
            }
            n = split(line, w, " ")
            for (i = 3; i <= n; i++) parts = parts (i > 3 ? " " : "") w[i]
            emit("deb", w[1], w[2], parts, key, trusted)
        }
        END { if (deb822) stanza() }' "${files[@]}"
}

codename() { (. /etc/os-release && echo "${VERSION_CODENAME:-}"); }

# own_release_sources - the machine's entries for the release it runs, with its updates and security suites.
own_release_sources() {
    machine_sources | awk -F '\t' -v c="$(codename)" '$2 ~ "^(" c "|stable|oldstable|testing)(-updates|-security|/updates)?$" || $2 ~ /^(sid|unstable)$/'
}

# apt_open NAME ARCHITECTURE - a private apt: own lists, own archives, and a dpkg status that says nothing is installed. The machine's
# proxies, credentials and verification rules still apply; its hooks, pins and sources do not. Sources come on standard input as
# machine_sources prints them. Sets $apt, the folder that apt_get and apt_cache work in.
apt_open() {
    apt=$work/apt-$1
    mkdir -p "$apt/etc/sources.list.d" "$apt/state/lists/partial" "$apt/cache/archives/partial" "$apt/log"
    : >"$apt/state/status"
    cat >"$apt/etc/apt.conf" <<END
Dir::State "$apt/state";
Dir::State::lists "$apt/state/lists";
Dir::State::status "$apt/state/status";
Dir::Cache "$apt/cache";
Dir::Cache::archives "$apt/cache/archives";
Dir::Log "$apt/log";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$apt/etc/sources.list.d";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Architecture "$2";
APT::Architectures { "$2"; };
APT::Default-Release "";
APT::Install-Recommends "false";
APT::Get::Assume-Yes "true";
APT::Get::List-Cleanup "false";
APT::Update::Error-Mode "any";
APT::Sandbox::User "";
Acquire::Retries "3";
Acquire::Languages "none";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
END
    local uri suite parts key trusted
    while IFS=$'\t' read -r uri suite parts key trusted; do
        printf 'Types: deb\nTargets: Packages\nURIs: %s\nSuites: %s\nComponents: main\n' "$uri" "$suite"
        [ "$key" = - ] || printf 'Signed-By: %s\n' "$key"
        [ "$trusted" = - ] || printf 'Trusted: %s\n' "$trusted"
        echo
    done >"$apt/etc/sources.list.d/debian.sources"
}

apt_get() { apt-get -q -c "$apt/etc/apt.conf" "$@"; }
apt_cache() { apt-cache -c "$apt/etc/apt.conf" "$@"; }

# require_debian - provisioning needs apt and a Debian mirror that the machine itself is set up with.
require_debian() {
    command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1 || die "this machine has no apt; $1"
    [ -n "$(own_release_sources)" ] || die "no Debian mirror in /etc/apt/sources.list or /etc/apt/sources.list.d; $1"
}
