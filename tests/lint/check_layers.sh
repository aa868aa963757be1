#!/bin/sh
# Checks that includes between folders run only along the arrows of layers.txt. Needs no arguments;
# prints each wrong include and ends with 1 when there was one.
set -eu
cd "$(dirname "$0")/../.."

folders=$(sed -n 's/^\([a-z]*\):.*/\1/p' tests/lint/layers.txt)
present=
for folder in $folders; do
    if [ -d "$folder" ]; then
        present="$present $folder"
    fi
done

# shellcheck disable=SC2086 # a list of folder names
# shellcheck disable=SC2016 # the dollars are awk's
find $present -name '*.[ch]' -print0 | xargs -0 awk '
    BEGIN {
        while ((getline line < "tests/lint/layers.txt") > 0) {
            if (line ~ /^#/ || line == "")
                continue
            count = split(line, words, /[: ]+/)
            if (words[1] == "public") {
                public[words[2]] = 1
                continue
            }
            public[words[1] "/" words[1] ".h"] = 1
            known[words[1]] = 1
            for (i = 2; i <= count; i++)
                if (words[i] != "")
                    allowed[words[1], words[i]] = 1
        }
    }
    /^#[ \t]*include[ \t]*"/ {
        split($0, parts, "\"")
        header = parts[2]
        slash = index(header, "/")
        if (slash == 0) {
            # Made by configure, in no folder.
            if (header != "config.h")
                complain("the path from the top of the tree is missing")
            next
        }
        from = substr(FILENAME, 1, index(FILENAME, "/") - 1)
        to = substr(header, 1, slash - 1)
        if (from == to)
            next
        if (!(to in known))
            complain("the folder is not in tests/lint/layers.txt")
        else if (FILENAME !~ /_main\.c$/ && !((from, to) in allowed))
            complain("tests/lint/layers.txt has no arrow from " from " to " to)
        else if (to != "base" && !(header in public))
            complain("the header is private to " to)
    }
    function complain(reason) {
        printf "%s:%d: %s: %s\n", FILENAME, FNR, header, reason
        wrong = 1
    }
    END { exit wrong }
'
