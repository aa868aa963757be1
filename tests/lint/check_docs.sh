#!/bin/sh
# Checks that the manual pages have every command and option of both programs, that each command's
# help has an example, and that README.md names no option that nobody knows: our programs, our
# scripts, the engines in tests/integration/peers. Needs the built programs: in BERTH_BUILD, else in
# build-check or build. Prints each finding and ends with 1 when there was one.
set -eu
cd "$(dirname "$0")/../.."

build=${BERTH_BUILD:-}
for dir in build-check build; do
    if [ -z "$build" ] && [ -x "$dir/berth" ] && [ -x "$dir/berth-oci" ]; then
        build=$dir
    fi
done
if [ -z "$build" ] || [ ! -x "$build/berth" ] || [ ! -x "$build/berth-oci" ]; then
    echo "skipped: the programs are not built (BERTH_BUILD names their folder)"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
found=$work/found
: > "$found"
: > "$work/known"

# "      --name VALUE   help" or "  -n, --name": the name; not --help, which all have.
options() { sed -n 's/^  \(-[A-Za-z0-9],\|   \) \(--[a-z][a-z0-9-]*\).*/\2/p' | grep -vx -- --help || true; }
# Two spaces, the name (perhaps of two words), and its help behind a capital letter.
commands() { sed -n 's/^  \([a-z][a-z]*\( [a-z][a-z]*\)\{0,1\}\)  *[A-Z].*/\1/p'; }

for program in berth berth-oci; do
    # Hyphens of names and options are escaped in roff.
    "$build/$program" help --man | sed 's/\\-/-/g' > "$work/man"
    "$build/$program" --help > "$work/help"
    options < "$work/help" > "$work/options"
    sed -n '/^\.SH OPTIONS/,/^\.SH COMMANDS/p' "$work/man" > "$work/section"
    while IFS= read -r option; do
        grep -q -- "^\.B .*$option\( \|\$\)" "$work/section" ||
            echo "$program: the manual page lacks the option $option" >> "$found"
    done < "$work/options"
    cat "$work/options" >> "$work/known"

    commands < "$work/help" > "$work/commands"
    while IFS= read -r command; do
        # shellcheck disable=SC2086 # a command may be two words
        "$build/$program" $command --help > "$work/help"
        grep -qx Examples: "$work/help" ||
            echo "$program $command: --help has no example" >> "$found"
        awk -v name=".SS \"$program $command\"" \
            '/^\.S[SH] / { inside = ($0 == name) } inside' "$work/man" > "$work/section"
        [ -s "$work/section" ] ||
            echo "$program: the manual page lacks the command $command" >> "$found"
        options < "$work/help" > "$work/options"
        while IFS= read -r option; do
            grep -q -- "^\.B .*$option\( \|\[\|\$\)" "$work/section" ||
                echo "$program $command: the manual page lacks $option" >> "$found"
        done < "$work/options"
        cat "$work/options" >> "$work/known"
    done < "$work/commands"
done
[ "$(sort -u "$work/known" | wc -l)" -gt 50 ] ||
    echo "the help of the programs does not look as this script expects" >> "$found"

if [ -f README.md ]; then
    grep -o -- '--[a-z][a-z-]*' README.md | sort -u | while IFS= read -r option; do
        grep -qx -- "$option" "$work/known" || [ "$option" = --help ] ||
            grep -q -- "$option" scripts/check configure.ac tests/integration/peers/*.bats ||
            echo "README.md: nobody knows the option $option" >> "$found"
    done
fi

cat "$found"
[ ! -s "$found" ]
