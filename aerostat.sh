#!/bin/sh
# aerostat - the way in from a checkout.
#
# Finds Python 3.11 or newer, makes .venv beside this file (with uv if it is there, else with venv and pip), says
# for `up` which Debian packages are missing and how large they are, installs them with apt, and hands over to the
# command line in aerostat/cli. Everything it says goes to standard error, so that `eval "$(./aerostat env)"` works.
#
# AEROSTAT_PYTHON names the Python to build .venv with.
set -eu

here=$(dirname "$(readlink -f "$0")")
venv=$here/.venv
stamp=$venv/aerostat-stamp

say() { printf '%s\n' "aerostat: $*" >&2; }
die() { say "$*"; exit 1; }
has() { case " $2 " in *" $1 "*) return 0 ;; esac; return 1; }

# --- what was asked ---------------------------------------------------------
command='' fake='' yes='' help='' words=''
for word; do
    case $word in
        --) break ;;
        --fake) fake=1 ;;
        -y | --yes) yes=1 ;;
        -h | --help) help=1 ;;
        -*) ;;
        *) command=${command:-$word} words="$words $word" ;;
    esac
done

# Parts of the installation beyond the plain one: `metal` (libvirt's binding), `dev` (tests, linters), `docs`.
parts=''
case $command in
    up) [ -n "$fake$help" ] || parts=metal ;;
    check) parts=dev ;;
    docs) parts=docs ;;
    test)
        parts=dev
        if has metal "$words" || has all "$words"; then parts='dev metal'; fi ;;
esac

# --- system packages ----------------------------------------------------------
# What a real cloud runs, then what builds libvirt's binding and the guest image. libvirt-daemon holds the hypervisor
# drivers that we load into our own process; libvirt-daemon-system, which starts services, is not needed.
run_packages='qemu-system-x86 qemu-utils libvirt-daemon openvswitch-switch ovn-central ovn-host
    iproute2 openssh-client'
build_packages='libvirt-dev pkg-config gcc libc6-dev e2fsprogs kmod xz-utils'

missing_packages() {
    for package in $run_packages $build_packages "$@"; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || state=absent
        [ "$state" = installed ] || printf '%s ' "$package"
    done
}

# Debian starts a daemon when its package is installed. Ours run below our own supervisor, in namespaces of their
# own: a second switch in the machine's own namespace would be a change to its network that nobody asked for. Units
# of packages that we install are therefore masked for the time of the installation and left disabled. Units of
# packages that were there before are not touched, nor is a machine without systemd.
units_of() {
    case $1 in
        openvswitch-switch) echo openvswitch-switch ovsdb-server ovs-vswitchd ovs-record-hostname ;;
        ovn-central) echo ovn-central ovn-northd ovn-ovsdb-server-nb ovn-ovsdb-server-sb ;;
        ovn-host) echo ovn-host ovn-controller ;;
    esac
}

apt_install() {
    units=''
    if [ -d /run/systemd/system ]; then
        for package; do
            for unit in $(units_of "$package"); do units="$units $unit.service"; done
        done
    fi
    # shellcheck disable=SC2086 # a list of words
    [ -z "$units" ] || systemctl --quiet --runtime mask $units
    failed=''
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 --no-install-recommends install "$@" \
        </dev/null >&2 || failed=1
    if [ -n "$units" ]; then
        # shellcheck disable=SC2086
        systemctl --quiet disable $units 2>/dev/null || true
        # shellcheck disable=SC2086
        systemctl --quiet --runtime unmask $units
    fi
    [ -z "$failed" ] || die "apt-get could not install: $*"
}

# Says how much apt would fetch and how much room it would take; nothing when apt does not know the packages.
apt_sizes() {
    LC_ALL=C apt-get -o Debug::NoLocking=1 --assume-no --no-install-recommends install "$@" 2>/dev/null |
        sed -n 's/^Need to get \(.*\) of archives\.$/\1 to download/p
            s/^After this operation, \(.*\) of additional disk space will be used\.$/\1 on disk/p' |
        sed '$!s/$/,/' | tr '\n' ' '
}

ensure_packages() {
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        say "this is not Debian: packages are not looked after; 'aerostat doctor' says what is missing"
        return 0
    fi
    # shellcheck disable=SC2046 # a list of words
    set -- $(missing_packages "$@")
    [ $# -gt 0 ] || return 0
    root=''
    [ "$(id -u)" != 0 ] || root=1
    sizes=$(apt_sizes "$@")
    if [ -z "$sizes" ] && [ -n "$root" ]; then
        apt-get -qq update </dev/null >&2 || die "apt-get update failed; see above"
        sizes=$(apt_sizes "$@")
    fi
    say "Debian packages that are missing: $*"
    say "    ${sizes:-(apt does not know how large they are)}"
    [ -n "$root" ] || die "install them with: sudo apt-get install --no-install-recommends $*"
    if [ -z "$yes" ]; then
        [ -t 0 ] || die "not installed, for nobody can be asked here: say --yes, or: apt-get install --no-install-recommends $*"
        printf 'aerostat: install them now? [Y/n] ' >&2
        read -r answer || answer=n
        case $answer in '' | [Yy]*) ;; *) die "nothing was installed" ;; esac
    fi
    say "installing …"
    apt_install "$@"
}

# --- Python -------------------------------------------------------------------
find_python() {
    for candidate in ${AEROSTAT_PYTHON:-} python3 python3.11 python3.12 python3.13 python3.14 python; do
        found=$(command -v "$candidate") || continue
        "$found" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        printf '%s\n' "$found"
        return 0
    done
    die "Python 3.11 or newer is needed and none was found (Debian 12 and later: apt-get install python3 python3-venv)"
}

# Debian packages that the chosen Python lacks: python3-dev to build the binding, python3-venv to make .venv.
python_packages() {
    "$1" - "$2" <<'END'
import importlib.util, os, sys, sysconfig
if "metal" in sys.argv[1] and not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
    print("python3-dev")
END
}

install_parts() {       # install_parts PYTHON PART…: make .venv what pyproject.toml says
    python=$1
    shift
    say "preparing $venv${1:+ (with $*)} …"
    if command -v uv >/dev/null; then
        options=''
        for part; do
            case $part in metal) options="$options --extra metal" ;; *) options="$options --group $part" ;; esac
        done
        # shellcheck disable=SC2086
        UV_PROJECT_ENVIRONMENT=$venv uv sync --quiet --project "$here" --python "$python" --no-default-groups \
            $options </dev/null >&2 || die "uv could not install the Python packages; see above"
        return 0
    fi
    if [ ! -x "$venv/bin/python" ]; then
        "$python" -c 'import ensurepip, venv' 2>/dev/null ||
            die "$python cannot make a virtual environment (Debian: apt-get install python3-venv), and there is no uv"
        rm -rf "$venv"
        "$python" -m venv "$venv" >&2 || die "$python -m venv failed; see above"
    fi
    set -- "$venv/bin/python" "$@"
    pip() { "$venv/bin/python" -m pip -qq --disable-pip-version-check install "$@" </dev/null >&2; }
    shift
    target=$here upgraded=''
    for part; do
        case $part in
            metal) target="${here}[metal]" ;;
            *)  # groups are known to pip since 25.1
                [ -n "$upgraded" ] || pip --upgrade 'pip>=25.1' || die "pip could not upgrade itself; see above"
                upgraded=1
                pip --group "$here/pyproject.toml:$part" || die "pip could not install the group $part; see above" ;;
        esac
    done
    pip --editable "$target" || die "pip could not install the Python packages; see above"
}

sum=$(cat "$here/pyproject.toml" "$here/uv.lock" 2>/dev/null | cksum)
old_sum='' old_parts=''
if [ -x "$venv/bin/python" ] && [ -r "$stamp" ]; then
    { read -r old_sum; read -r old_parts || true; } < "$stamp"
fi
wanted=$old_parts lacking=''
for part in $parts; do
    if ! has "$part" "$old_parts"; then wanted="$wanted $part" lacking=1; fi
done

stale=''
if [ "$sum" != "$old_sum" ] || [ -n "$lacking" ]; then stale=1; fi
python=''
[ -z "$stale" ] || python=$(find_python) || exit 1
if has metal "$parts"; then
    extra=''
    [ -z "$stale" ] || extra=$(python_packages "$python" "$wanted")
    # shellcheck disable=SC2086
    ensure_packages $extra
fi
if [ -n "$stale" ]; then
    (
        # Two first starts at once: one builds, the other finds it built.
        if command -v flock >/dev/null; then flock 9; fi
        # shellcheck disable=SC2086
        install_parts "$python" $wanted
        printf '%s\n%s\n' "$sum" "$wanted" > "$stamp"
    ) 9> "$here/.venv.lock" || exit 1
fi

AEROSTAT_COMMAND=$0
export AEROSTAT_COMMAND
exec "$venv/bin/python" -m aerostat "$@"
