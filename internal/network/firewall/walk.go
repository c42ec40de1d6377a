package firewall

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// walk goes through the rules of a table as a packet from an interface would.
type walk struct {
	conn   *nftables.Conn
	table  *nftables.Table
	chains []*nftables.Chain
	rules  map[string][]*nftables.Rule // by chains, of those that were asked for
}

func newWalk(c *nftables.Conn, table *nftables.Table, chains []*nftables.Chain) walk {
	return walk{c, table, chains, map[string][]*nftables.Rule{}}
}

// missing are those of interfaces from which a chain does not accept
// everything, by itself or by chains that it jumps to.
func (w walk) missing(chain string, interfaces []string) (out []string, err error) {
	for _, name := range interfaces {
		end, err := w.through(chain, name, nil)
		if err != nil {
			return nil, err
		}
		if end != expr.VerdictAccept {
			out = append(out, name)
		}
	}
	return out, nil
}

// through is what becomes of a packet in a chain, if that does not depend on
// more than the interface that it came from: VerdictContinue, where it is
// up to other rules, or goes back to where it came from. above are the chains that led here.
func (w walk) through(chain, name string, above []string) (expr.VerdictKind, error) {
	rules, err := w.of(chain)
	if err != nil || slices.Contains(above, chain) {
		return expr.VerdictContinue, err
	}
	unsure := false // whether something may have left the chain before
	for _, r := range rules {
		v, err := w.verdict(r, name)
		if err != nil {
			return 0, err
		}
		if v == nil {
			unsure = true
			continue
		}
		switch v.Kind {
		case expr.VerdictJump, expr.VerdictGoto:
			end, err := w.through(v.Chain, name, append(above[:len(above):len(above)], chain))
			if err != nil || end != expr.VerdictContinue || v.Kind == expr.VerdictGoto {
				return end, err
			}
		case expr.VerdictReturn:
			return expr.VerdictContinue, nil
		case expr.VerdictDrop:
			if unsure {
				return expr.VerdictContinue, nil
			}
			return v.Kind, nil
		case expr.VerdictAccept:
			return v.Kind, nil
		}
	}
	return expr.VerdictContinue, nil
}

// end is what becomes of a packet in a chain, and those that it jumps to, for which
// no rule with a condition holds; nil where it goes back to where it came from.
// above are the chains that led here.
func (w walk) end(chain string, above []string) (*expr.Verdict, error) {
	rules, err := w.of(chain)
	if err != nil || slices.Contains(above, chain) {
		return nil, err
	}
	for _, r := range rules {
		v := always(r)
		if v == nil {
			continue
		}
		switch v.Kind {
		case expr.VerdictJump, expr.VerdictGoto:
			end, err := w.end(v.Chain, append(above[:len(above):len(above)], chain))
			if err != nil || end != nil || v.Kind == expr.VerdictGoto {
				return end, err
			}
		case expr.VerdictReturn:
			return nil, nil
		case expr.VerdictDrop, expr.VerdictAccept:
			return v, nil
		}
	}
	return nil, nil
}

// always is the verdict of a rule without condition; nil if it has one, or gives
// no verdict.
func always(r *nftables.Rule) *expr.Verdict {
	var out *expr.Verdict
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Counter, *expr.Log:
		case *expr.Verdict:
			out = e
		default:
			if !rejects(e) {
				return nil
			}
			out = &expr.Verdict{Kind: expr.VerdictDrop}
		}
	}
	return out
}

// rejects reports whether an expression refuses packets, also in the words of
// iptables.
func rejects(e expr.Any) bool {
	if t, ok := e.(*expr.Target); ok {
		return t.Name == "REJECT"
	}
	_, ok := e.(*expr.Reject)
	return ok
}

// of are the rules of a chain, which may have gone meanwhile.
func (w walk) of(chain string) ([]*nftables.Rule, error) {
	if rules, ok := w.rules[chain]; ok {
		return rules, nil
	}
	i := slices.IndexFunc(w.chains, func(c *nftables.Chain) bool {
		return c.Name == chain && c.Table.Name == w.table.Name && c.Table.Family == w.table.Family
	})
	if i < 0 {
		return nil, nil
	}
	rules, err := w.conn.GetRules(w.table, w.chains[i])
	if gone(err) {
		err = nil
	}
	w.rules[chain] = rules
	return rules, err
}

// inSet are the elements of a set or map; none where it is not there.
func inSet(conn *nftables.Conn, table *nftables.Table, name string) ([]nftables.SetElement, error) {
	elements, err := conn.GetSetElements(&nftables.Set{Table: table, Name: name})
	if gone(err) {
		return nil, nil
	}
	return elements, err
}

// gone reports whether an error says that what was asked for is not there. Of
// some errors the library keeps the text alone.
func gone(err error) bool {
	return err != nil && (errors.Is(err, unix.ENOENT) || strings.HasSuffix(err.Error(), unix.ENOENT.Error()))
}

// verdict is that of a rule about whatever comes from an interface; nil if it
// has other conditions.
func (w walk) verdict(r *nftables.Rule, name string) (*expr.Verdict, error) {
	var out *expr.Verdict
	for i, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Counter, *expr.Log:
		case *expr.Meta:
			if e.Key != expr.MetaKeyIIFNAME || i+1 == len(r.Exprs) {
				return nil, nil
			}
		case *expr.Cmp: // a name with a zero behind it, or the beginning of names
			if e.Op != expr.CmpOpEq || !bytes.HasPrefix(padded(name), e.Data) {
				return nil, nil
			}
		case *expr.Lookup:
			if has, err := w.has(e, name); err != nil || !has {
				return nil, err
			}
		case *expr.Verdict:
			out = e
		default:
			if !rejects(e) {
				return nil, nil
			}
			out = &expr.Verdict{Kind: expr.VerdictDrop}
		}
	}
	if out == nil { // it only counts, or logs
		out = &expr.Verdict{Kind: expr.VerdictContinue}
	}
	return out, nil
}

// has reports whether a set of names has that of an interface.
func (w walk) has(l *expr.Lookup, name string) (bool, error) {
	if l.Invert || l.IsDestRegSet {
		return false, nil
	}
	elements, err := inSet(w.conn, w.table, l.SetName)
	return slices.ContainsFunc(elements, func(e nftables.SetElement) bool { return !e.IntervalEnd && bytes.Equal(e.Key, padded(name)) }), err
}

// padded is the name of an interface as rules compare it.
func padded(name string) []byte {
	return append([]byte(name), make([]byte, unix.IFNAMSIZ-len(name))...)
}

// unpadded is the name of an interface that rules have.
func unpadded(name []byte) string { return string(bytes.TrimRight(name, "\x00")) }
