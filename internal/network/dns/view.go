package dns

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Domain is the domain of all own names.
const Domain = "containers."

// ttl is how long others may keep an own answer, in seconds: not at all, so
// that they follow when a guest starts and stops.
const ttl = 0

// Host is one machine with its names and addresses.
type Host struct {
	// Names are labels, or several with dots; each stands for itself, and for
	// itself below Domain. The first is what its addresses are called. Those
	// that are no names in DNS are left out.
	Names []string
	// Aliases are further names, where they are nobody's first.
	Aliases   []string
	Addresses []netip.Addr
}

// View is all own names as some clients see them. It does not change.
type View struct {
	names    map[string]*entry // by name in small letters, in the form of messages
	networks []netip.Prefix    // whose addresses only this server knows
	soa      []byte            // the record of a zone, packed, without the zone's name
	domain   string            // Domain in the form of messages
}

// entry is what is known of one name: whole packed answers, or nil.
type entry struct {
	a, aaaa, ptr []byte
	other        map[uint16][]byte
}

// answer is the packed answer for a type; nil where there is none.
func (e *entry) answer(qtype uint16) []byte {
	switch qtype {
	case dns.TypeA:
		return e.a
	case dns.TypeAAAA:
		return e.aaaa
	case dns.TypePTR:
		return e.ptr
	}
	return e.other[qtype]
}

// NewView packs the answers for hosts. For addresses in networks that no host
// has, the answer is that there is no such name.
func NewView(hosts []Host, networks []netip.Prefix) *View {
	v := &View{names: map[string]*entry{}, networks: networks, domain: wire(Domain)}
	v.soa = packRecord(soa("."))[1:]
	byName := map[string][]netip.Addr{}
	taken := map[string]bool{}
	for _, h := range hosts {
		for _, n := range h.Names {
			byName[fqdn(n)] = append(byName[fqdn(n)], h.Addresses...)
			taken[fqdn(n)] = true
		}
	}
	for _, h := range hosts {
		for _, n := range h.Aliases {
			if !taken[fqdn(n)] {
				byName[fqdn(n)] = append(byName[fqdn(n)], h.Addresses...)
			}
		}
	}
	for n, addresses := range byName {
		addresses = sortedAddresses(addresses)
		for _, full := range []string{n, n + Domain} {
			if _, ok := dns.IsDomainName(full); ok && n != "." {
				v.addName(full, addresses)
			}
		}
	}
	for _, h := range hosts {
		v.addReverse(h)
	}
	v.addApex()
	return v
}

func sortedAddresses(in []netip.Addr) []netip.Addr {
	out := slices.Clone(in)
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// fqdn is a name in small letters with a dot at its end.
func fqdn(name string) string { return dns.Fqdn(strings.ToLower(name)) }

// wire is a name in the form of messages.
func wire(name string) string {
	b := make([]byte, maxNameLen+1)
	n, err := dns.PackDomainName(name, b, 0, nil, false)
	if err != nil {
		return ""
	}
	return string(b[:n])
}

// at gives the entry of a name, which is made where it is not there.
func (v *View) at(name string) *entry {
	w := wire(name)
	e := v.names[w]
	if e == nil {
		e = &entry{}
		v.names[w] = e
	}
	return e
}

// addName makes the answers for a name, and those that say that there is
// nothing at the names between it and Domain.
func (v *View) addName(name string, addresses []netip.Addr) {
	if wire(name) == "" {
		return
	}
	e := v.at(name)
	var four, six []dns.RR
	for _, a := range addresses {
		if a.Is4() {
			four = append(four, &dns.A{Hdr: header(name, dns.TypeA), A: a.AsSlice()})
		} else {
			six = append(six, &dns.AAAA{Hdr: header(name, dns.TypeAAAA), AAAA: a.AsSlice()})
		}
	}
	e.a, e.aaaa = pack(name, dns.TypeA, four), pack(name, dns.TypeAAAA, six)
	if !strings.HasSuffix(name, "."+Domain) {
		return
	}
	for i, end := dns.NextLabel(name, 0); !end && name[i:] != Domain; i, end = dns.NextLabel(name, i) {
		v.at(name[i:])
	}
}

func (v *View) addReverse(h Host) {
	if len(h.Names) == 0 {
		return
	}
	target := fqdn(h.Names[0]) + Domain
	if wire(target) == "" {
		return
	}
	for _, a := range h.Addresses {
		name, err := dns.ReverseAddr(a.WithZone("").String())
		if err != nil {
			continue
		}
		if e := v.at(name); e.ptr == nil {
			e.ptr = pack(name, dns.TypePTR, []dns.RR{&dns.PTR{Hdr: header(name, dns.TypePTR), Ptr: target}})
		}
	}
}

// addApex makes what every zone has at its top.
func (v *View) addApex() {
	ns := &dns.NS{Hdr: header(Domain, dns.TypeNS), Ns: "ns." + Domain}
	v.at(Domain).other = map[uint16][]byte{
		dns.TypeSOA: pack(Domain, dns.TypeSOA, []dns.RR{soa(Domain)}),
		dns.TypeNS:  pack(Domain, dns.TypeNS, []dns.RR{ns}),
	}
}

func header(name string, rtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: rtype, Class: dns.ClassINET, Ttl: ttl}
}

// soa is the record that says that this server is the authority, and that what
// it denies is not to be remembered.
func soa(zone string) *dns.SOA {
	return &dns.SOA{Hdr: header(zone, dns.TypeSOA), Ns: "ns." + Domain, Mbox: "root." + Domain, Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: ttl}
}

// pack is an answer as it is sent, whose identification, flags and question are
// those of nobody yet; nil where there are no records.
func pack(name string, qtype uint16, records []dns.RR) []byte {
	if len(records) == 0 {
		return nil
	}
	m := dns.Msg{Compress: true, Answer: records, Question: []dns.Question{{Name: name, Qtype: qtype, Qclass: dns.ClassINET}}}
	b, err := m.Pack()
	if err != nil || len(b) > maxTCP-len(optRecord{}) {
		return nil
	}
	return slices.Clip(b)
}

// packRecord is one record as it is in a message without compression.
func packRecord(r dns.RR) []byte {
	b := make([]byte, dns.Len(r)+1)
	n, err := dns.PackRR(r, b, 0, nil, false)
	if err != nil {
		return nil
	}
	return b[:n]
}
