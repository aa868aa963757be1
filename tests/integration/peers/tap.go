// Package tap stands in for github.com/mndrix/tap-go, which Debian does not have: what the validation
// suite of runtime-tools calls of it, and no more. One file, as Go wants it below GOPATH.
package tap

import (
	"encoding/json"
	"fmt"
	"strings"
)

// T counts the tests of one program and prints a line of TAP for each.
type T struct {
	told   *int
	suffix string
}

func New() *T { return &T{told: new(int)} }

// Header prints the plan, where it is known before.
func (t *T) Header(count int) {
	fmt.Println("TAP version 13")
	if count > 0 {
		fmt.Printf("1..%d\n", count)
	}
}

// oneLine keeps a name from ending its line, or from being read as a directive.
func oneLine(name string) string {
	return strings.NewReplacer("\n", " ", "#", "").Replace(name)
}

func (t *T) AutoPlan() { fmt.Printf("1..%d\n", *t.told) }

func (t *T) Ok(passed bool, name string) {
	*t.told++
	word := "ok"
	if !passed {
		word = "not ok"
	}
	fmt.Printf("%s %d - %s%s\n", word, *t.told, oneLine(name), t.suffix)
}

func (t *T) Pass(name string) { t.Ok(true, name) }
func (t *T) Fail(name string) { t.Ok(false, name) }

func (t *T) Skip(count int, why string) {
	for i := 0; i < count; i++ {
		*t.told++
		fmt.Printf("ok %d # SKIP %s\n", *t.told, why)
	}
}

// Todo is the same counter for tests that may fail.
func (t *T) Todo() *T { return &T{told: t.told, suffix: " # TODO"} }

func (t *T) Diagnostic(text string) {
	fmt.Println("# " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n# "))
}

func (t *T) Diagnosticf(format string, values ...interface{}) {
	t.Diagnostic(fmt.Sprintf(format, values...))
}

// YAML prints a block of details; JSON is YAML too.
func (t *T) YAML(details interface{}) error {
	text, err := json.MarshalIndent(details, "  ", "  ")
	if err == nil {
		fmt.Printf("  ---\n  %s\n  ...\n", text)
	}
	return err
}
