package container

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// Ports is a port or a range of ports, both ends included. As JSON, one port
// is a number and a range the text FIRST-LAST.
type Ports struct{ First, Last uint16 }

// Port is the one port n.
func Port(n uint16) Ports { return Ports{n, n} }

// Count is how many ports there are.
func (p Ports) Count() int { return int(p.Last) - int(p.First) + 1 }

// Overlaps reports whether p and q have a port in common.
func (p Ports) Overlaps(q Ports) bool { return p.First <= q.Last && q.First <= p.Last }

func (p Ports) String() string {
	if p.First == p.Last {
		return strconv.Itoa(int(p.First))
	}
	return fmt.Sprintf("%d-%d", p.First, p.Last)
}

// MarshalJSON gives a number or a text.
func (p Ports) MarshalJSON() ([]byte, error) {
	if p.First == p.Last {
		return json.Marshal(p.First)
	}
	return json.Marshal(p.String())
}

// UnmarshalJSON reads what MarshalJSON writes.
func (p *Ports) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		s = string(b)
	}
	first, last, err := ParsePorts(s)
	if err == nil {
		*p = Ports{first, last}
	}
	return err
}
