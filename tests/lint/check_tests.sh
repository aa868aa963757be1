#!/bin/sh
# Finds what makes integration tests fail by chance, or never: a condition that is looked at once
# before it is waited for, waits and timeouts too short for a machine that has other work, and
# commands in the middle of a test whose failure the shell passes over. Needs no arguments; prints
# each finding and ends with 1 when there was one.
set -eu
cd "$(dirname "$0")/../.."

# shellcheck disable=SC2016 # the dollars are awk's
find tests/integration tests/testvm/guest -name '*.bats' -o -name '*.bash' | sort | xargs awk -v quote="'" '
    function complain(line, reason) {
        printf "%s:%d: %s\n", FILENAME, line, reason
        wrong = 1
    }
    # Whether the shell replaces a $(command) before it runs the words.
    function is_replaced(words,    i, character, quoted) {
        for (i = 1; i <= length(words); i++) {
            character = substr(words, i, 1)
            if (quoted == quote) {
                if (character == quote)
                    quoted = ""
            } else if (character == "\\")
                i++
            else if (character == quote && quoted == "")
                quoted = quote
            else if (character == "\"")
                quoted = quoted == "" ? "\"" : ""
            else if (substr(words, i, 2) == "$(" && substr(words, i, 3) != "$((" &&
                     substr(words, i) !~ /^\$\(declare /)
                return 1
        }
        return 0
    }
    FNR == 1 { unseen = "" }
    # The status of a function is that of its last command, so there all is well.
    unseen != "" && /^ *[^ #]/ {
        if ($0 !~ /^ *}/)
            complain(unseen_line, "nobody sees whether this fails: " unseen)
        unseen = ""
    }
    /^ +! / && !/ \|\| / && !/^ +! -/ && !/\\$/ {
        unseen = "write run ! or || false"
        unseen_line = FNR
    }
    /^ +(\[|\[\[) .* \]\]? && (\[|\[\[|!) / && !/ \|\| / && !/ \|\|$/ && !/(&&|\\)$/ {
        unseen = "write two lines"
        unseen_line = FNR
    }
    match($0, /(^|[ ({;])wait_until [0-9]+ /) {
        words = substr($0, RSTART + RLENGTH)
        split(substr($0, RSTART, RLENGTH), parts, "wait_until ")
        if (parts[2] + 0 < 20)
            complain(FNR, "wait_until " parts[2] + 0 ": a busy machine may need 20 seconds; it costs nothing")
        if (words ~ /^! /)
            complain(FNR, "wait_until takes a command, which ! is not: write eval " quote "! COMMAND" quote)
        if (words ~ /^(test|\[|eval|bash -c|sh -c) / && is_replaced(words))
            complain(FNR, "the shell runs the $(command) once, before it waits: write eval " quote "[ \"$(command)\" = value ]" quote)
    }
    /(^|[ ({;])timeout (-[a-z] [A-Z0-9]+ )*[0-9] / {
        complain(FNR, "timeout: a busy machine may need 10 seconds to begin")
    }
    END { exit wrong }
'
