"""Runs the examples of README.md, in order, in one shell, and compares what they print.

    readme.py README DIR [SKIPPED...]

Lines of ```console blocks that begin with "$ " are commands; the lines behind one are what it
prints, standard error included. "..." stands for anything: within a line for text without a line
end, alone for any lines. Spaces in a row are compared as one. Commands named as SKIPPED were run
before by others. DIR is the working directory.
"""
import os
import re
import subprocess
import sys

MARK = "\x01"


def examples(text):
    """Pairs of command and expected lines."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.M | re.S):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def pattern(lines):
    """What the expected lines allow, as one regular expression."""
    parts = []
    for line in lines:
        if line == "...":
            parts.append(r"(?:.*\n)*?")
            continue
        texts = [re.sub(r"(?:\\? )+", " +", re.escape(text)) for text in line.split("...")]
        parts.append(".*".join(texts) + r" *\n")
    return "".join(parts)


def run(commands, directory):
    """Output of each command; `echo $?` sees the status of the one before."""
    script = [f"mark() {{ local status=$?; printf '\\001'; return $status; }}"]
    for command in commands:
        script += ["mark", command]
    result = subprocess.run(["bash", "-c", "\n".join(script)], cwd=directory,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, timeout=300, check=False)
    return result.stdout.split(MARK)[1:]


def main():
    readme, directory, skipped = sys.argv[1], sys.argv[2], sys.argv[3:]
    data = os.environ.get("BERTH_DATA", "/var/lib/berth")
    wanted = [pair for pair in examples(open(readme, encoding="utf-8").read())
              if pair[0] not in skipped]
    outputs = run([command.replace("/var/lib/berth", data) for command, _ in wanted], directory)
    wrong = 0
    for (command, lines), output in zip(wanted, outputs, strict=True):
        if re.fullmatch(pattern(lines), output):
            continue
        wrong += 1
        print(f"$ {command}\nREADME.md has:")
        print("\n".join(lines))
        print(f"it prints:\n{output}")
    print(f"{len(wanted)} examples, {wrong} wrong")
    return 1 if wrong or not wanted else 0


sys.exit(main())
