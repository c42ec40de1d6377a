package cli

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"github.com/berth-containers/berth/container"
)

// agreed asks a question on a terminal. Elsewhere, and with --yes, the answer
// is yes.
func (a *app) agreed(question string) (bool, error) {
	if a.yes || !isTerminal(a.In) || !isTerminal(a.Err) {
		return true, nil
	}
	fmt.Fprintf(a.Err, "%s [y/N] ", question)
	line, err := bufio.NewReader(a.In).ReadString('\n')
	if err != nil {
		return false, errors.New("nobody answered")
	}
	if w := strings.ToLower(strings.TrimSpace(line)); w == "y" || w == "yes" {
		return true, nil
	}
	a.say("nothing was done")
	return false, nil
}

// list is names in a sentence.
func list(names []container.Name) string {
	words := make([]string, len(names))
	for i, n := range names {
		words[i] = string(n)
	}
	return strings.Join(words, ", ")
}
