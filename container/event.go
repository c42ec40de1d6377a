package container

// Event tells of work that goes on: a phase that began or moved. Events are
// for people to watch; nothing is decided by them.
type Event struct {
	Subject string // a container's name or an image reference
	Phase   string // such as "unpacking"
	Done    int64  // bytes so far
	Total   int64  // bytes in all; 0 where that is not known
	Detail  string // more about the phase, which may change often; may be empty
	Ended   bool   // the phase is over
	// Line is, where it is set, one line of what a program of the guest writes:
	// plain text. The event is about nothing else then.
	Line string
}

// EventFunc receives events, from one goroutine at a time per subject. Nil
// discards them.
type EventFunc func(Event)

// Send calls f unless it is nil.
func (f EventFunc) Send(e Event) {
	if f != nil {
		f(e)
	}
}
