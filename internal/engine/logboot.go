package engine

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/journal"
)

// chooseBoot bounds the query to the boot that it asks for. What the console
// has is of that boot if it is of its time. Whoever follows the last boot also
// follows those that come.
func (l *logs) chooseBoot() error {
	if l.query.Boot == "" {
		return nil
	}
	j, err := l.engine.journals(l.rec)
	if err != nil {
		return err
	}
	defer j.close()
	boots, err := journal.Boots(j.places, j.machines)
	if len(boots) == 0 {
		err = errors.Join(errors.New("there is no journal that tells of its boots"), err)
		return &container.Error{Err: err, Hint: "--since and --until choose by time"}
	}
	i, err := indexOfBoot(boots, l.query.Boot)
	if err != nil {
		return err
	}
	b, last := boots[i], i == len(boots)-1
	l.query.Boot = b.ID
	if l.query.Follow {
		if !last {
			return &container.Error{Err: errors.New("nothing comes any more of a boot that has ended"), Hint: "leave --follow out", Code: container.CodeUsage}
		}
		l.query.Boot = ""
	}
	if b.First.After(l.query.Since) {
		l.query.Since = b.First
	}
	if !last && (l.query.Until.IsZero() || b.Last.Before(l.query.Until)) {
		l.query.Until = b.Last
	}
	return nil
}

// indexOfBoot finds a boot by its ID, or by its number, counted from the last.
func indexOfBoot(boots []journal.Boot, which string) (int, error) {
	if i := slices.IndexFunc(boots, func(b journal.Boot) bool { return b.ID == which }); i >= 0 {
		return i, nil
	}
	n, err := strconv.Atoi(which)
	if i := len(boots) - 1 + n; err == nil && n <= 0 && i >= 0 {
		return i, nil
	}
	return 0, &container.Error{Err: fmt.Errorf("no boot %s is in its journal, which has %d", which, len(boots)), Hint: "berth logs --json shows the boot of each entry"}
}
