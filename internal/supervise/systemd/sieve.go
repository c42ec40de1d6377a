package systemd

import (
	"bufio"
	"encoding/binary"
	"fmt"
)

// sieve reads D-Bus messages and leaves the signals out that nobody wants.
// systemd sends all that there are on its own socket, hundreds each time that
// it reads its units again, and its answers come after those: where many berths
// decoded them all at once, answers came minutes late.
type sieve struct {
	in     *bufio.Reader
	wanted func(header []byte) bool
	rest   int // bytes of the message that is being handed on
}

// What the D-Bus specification says of a message: its header has a fixed part,
// and an array of fields behind that, which is padded.
const (
	fixedHeader   = 16
	signalMessage = 4
)

// Read implements io.Reader.
func (s *sieve) Read(p []byte) (int, error) {
	for s.rest == 0 {
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	n, err := s.in.Read(p[:min(len(p), s.rest)])
	s.rest -= n
	return n, err
}

// next looks at the message that comes next, and leaves it out or sets rest.
func (s *sieve) next() error {
	fixed, err := s.in.Peek(fixedHeader)
	if err != nil {
		return err
	}
	var order binary.ByteOrder = binary.LittleEndian
	if fixed[0] == 'B' {
		order = binary.BigEndian
	}
	body, fields := uint64(order.Uint32(fixed[4:])), uint64(order.Uint32(fixed[12:]))
	const most = 128 << 20 // of the specification
	size := fixedHeader + (fields+7)&^7 + body
	if size > most {
		return fmt.Errorf("systemd sends a message of %d bytes", size)
	}
	if fixed[1] == signalMessage && fixedHeader+fields <= uint64(s.in.Size()) {
		header, err := s.in.Peek(int(fixedHeader + fields))
		if err != nil {
			return err
		}
		if !s.wanted(header) {
			_, err := s.in.Discard(int(size))
			return err
		}
	}
	s.rest = int(size)
	return nil
}
