#!/bin/sh
# Checks what clang-format does not: line length, no tabs, no goto, no typedef of structs, JSON only
# at the door, each file begins with its own header, file names are unique. Needs no arguments;
# prints each finding and ends with 1 when there was one.
set -eu
cd "$(dirname "$0")/../.."

present=
for folder in base cgroups runtime unionfs image network engine cli tests; do
    if [ -d "$folder" ]; then
        present="$present $folder"
    fi
done
# shellcheck disable=SC2086 # a list of folder names
# shellcheck disable=SC2016 # the dollars are awk's
find $present -name '*.[ch]' -print0 | xargs -0 awk '
    function complain(reason) {
        printf "%s:%d: %s\n", FILENAME, FNR, reason
        wrong = 1
    }
    # Whether the file exists; closed at once, as there are many.
    function exists(path,    line, result) {
        result = (getline line < path) >= 0
        close(path)
        return result
    }
    FNR == 1 {
        has_include = 0
        in_comment = 0
        name = FILENAME
        sub(/.*\//, "", name)
        # Only the folders of the product: tests are named after what they test.
        if (FILENAME !~ /^tests\//) {
            if (name in seen)
                complain("the name is taken by " seen[name])
            seen[name] = FILENAME
        }
        own = FILENAME
        sub(/\.c$/, ".h", own)
        has_own = FILENAME ~ /\.c$/ && exists(own)
        may_use_json = FILENAME ~ /_fields\.c$/ || FILENAME == "base/decode.c" ||
            FILENAME == "base/encode.c" || FILENAME ~ /^cli\/template/ || FILENAME ~ /^tests\//
    }
    { code = $0 }
    # Comments and strings may say what they like; lines are judged by their code.
    {
        gsub(/"([^"\\]|\\.)*"/, "\"\"", code)
        if (in_comment) {
            if (match(code, /\*\//)) {
                code = substr(code, RSTART + 2)
                in_comment = 0
            } else {
                code = ""
            }
        }
        gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, "", code)
        if (match(code, /\/\*/)) {
            code = substr(code, 1, RSTART - 1)
            in_comment = 1
        }
    }
    # Bytes, not characters, as awk differs in what a character is: what is beyond ASCII is rare.
    length($0) > 100 && $0 ~ /^[\001-\176]*$/ { complain("the line has more than 100 columns") }
    /\t/ { complain("a tab") }
    /[ ]$/ { complain("a space at the end of the line") }
    code ~ /(^|[^a-zA-Z0-9_])goto[ \t]/ { complain("goto") }
    code ~ /typedef[ \t]+(struct|union|enum)/ { complain("a typedef of a struct, union or enum") }
    code ~ /^[ \t]*\/\// || code ~ /[;{}] *\/\// { complain("a comment that is not /* */") }
    !may_use_json && (/#[ \t]*include[ \t]*<jansson\.h>/ || code ~ /(^|[^a-z_])json_t[^a-z_]/) {
        complain("jansson is used outside of base/decode.c, base/encode.c and *_fields.c")
    }
    /^#[ \t]*include/ && !has_include {
        has_include = 1
        if (has_own && $0 != "#include \"" own "\"")
            complain("the first include is not \"" own "\"")
    }
    # A macro that returns hides an exit.
    /^#[ \t]*define/ { in_macro = 1 }
    in_macro && code ~ /(^|[^a-zA-Z0-9_])return[ ;(]/ { complain("a macro that returns") }
    !/\\$/ { in_macro = 0 }
    END { exit wrong }
'
