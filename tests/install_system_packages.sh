#!/bin/sh
# The tests drive a real browser, a real PostgreSQL and real devices' ends of ssh and adb. Installs what is missing where
# that is ours to do (root on a system with apt-get, such as a container or a CI runner); elsewhere says what to install.
set -eu

missing=""
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null ||
    missing="$missing chromium"
command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
command -v ssh >/dev/null || missing="$missing openssh-client"
command -v sshd >/dev/null || [ -x /usr/sbin/sshd ] || missing="$missing openssh-server"
command -v adb >/dev/null || missing="$missing adb"
command -v ip >/dev/null || [ -x /sbin/ip ] || missing="$missing iproute2"
command -v busybox >/dev/null || missing="$missing busybox"
command -v mksh >/dev/null || missing="$missing mksh"
command -v faketime >/dev/null || missing="$missing faketime"

# Debian has adbd, the device's end of adb, since its release "trixie", and it needs that release's libraries. Both are
# unpacked into a folder of the tests and started from there; the system's own packages stay as they are. Where to get
# them is what the system's sources say, for that release.
install_adbd() {
    cache="${XDG_CACHE_HOME:-$HOME/.cache}/pocketformer-tests"
    if [ -e "$cache/adbd/usr/lib/android-sdk/platform-tools/adbd" ]; then return 0; fi
    . /etc/os-release
    if [ "${ID:-}" != debian ] || [ -z "${VERSION_CODENAME:-}" ]; then
        echo "No adbd for the tests: it is had where the system is a release of Debian; the tests of adb are skipped." >&2
        return 0
    fi
    apt=$(mktemp -d)
    mkdir -p "$apt/sources" "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/root" "$cache"
    : >"$apt/status" # no package counts as installed: the libraries come along
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list; do
        if [ -e "$file" ] && grep -q "$VERSION_CODENAME" "$file" && grep -qi debian "$file"; then
            sed "s/\b$VERSION_CODENAME\b/trixie/g" "$file" >"$apt/sources/$(basename "$file")"
        fi
    done
    in_trixie() {
        apt-get -qq -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$apt/sources" \
            -o Dir::State::Lists="$apt/lists" -o Dir::State::Status="$apt/status" -o Dir::Cache="$apt/cache" \
            -o APT::Sandbox::User=root "$@"
    }
    if in_trixie update && in_trixie install -y --download-only --no-install-recommends adbd; then
        for package in "$apt"/cache/archives/*.deb; do dpkg-deb -x "$package" "$apt/root"; done
        rm -rf "$cache/adbd"
        mv "$apt/root" "$cache/adbd"
    else
        echo "No adbd for the tests: it could not be had from Debian; the tests of adb are skipped." >&2
    fi
    rm -rf "$apt"
}

ours=
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then ours=yes; fi

if [ -n "$missing" ] && [ -n "$ours" ]; then
    echo "Installing for the tests, as root, with apt-get:$missing"
    export DEBIAN_FRONTEND=noninteractive
    # The tests start servers themselves: those that come with a package shall not run on this machine's ports.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    # shellcheck disable=SC2086  (a list of names)
    apt-get update -qq && apt-get install -qq -y --no-install-recommends $missing >/dev/null && missing=""
fi
if [ -n "$ours" ]; then install_adbd; fi
if [ -n "$missing" ]; then
    echo "Missing for the tests:$missing. Install them (these are Debian's names); the tests that need them fail until then." >&2
fi
