package survey

import (
	"errors"

	"github.com/vishvananda/netlink"
)

// Interface is an interface of the machine.
type Interface struct {
	Name     string
	Bridge   bool   // it is a bridge
	Master   string // the bridge or bond that it belongs to
	Received Count  // by the machine
	Sent     Count
}

// Count is an amount of traffic.
type Count struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Interface looks at one interface, by its name or an alternative one; nil
// where there is none.
func (m *Machine) Interface(name string) (*Interface, error) {
	l, err := m.handle.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	a := l.Attrs()
	i := &Interface{Name: a.Name, Bridge: l.Type() == "bridge"}
	if s := a.Statistics; s != nil {
		i.Received, i.Sent = Count{s.RxPackets, s.RxBytes}, Count{s.TxPackets, s.TxBytes}
	}
	if a.MasterIndex != 0 {
		if master, err := m.handle.LinkByIndex(a.MasterIndex); err == nil {
			i.Master = master.Attrs().Name
		}
	}
	return i, nil
}
