package dns

import (
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// answerTo packs an answer to a question, with these records.
func answerTo(t *testing.T, name string, rcode int, answer, authority string) (*query, []byte) {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, dns.TypeA)
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	q := new(query)
	if code := q.parse(b); code != dns.RcodeSuccess {
		t.Fatal(code)
	}
	r := new(dns.Msg)
	r.SetRcode(m, rcode)
	r.Compress = true
	for text, to := range map[string]*[]dns.RR{answer: &r.Answer, authority: &r.Ns} {
		if text != "" {
			rr, err := dns.NewRR(text)
			if err != nil {
				t.Fatal(err)
			}
			*to = append(*to, rr)
		}
	}
	reply, err := r.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return q, reply
}

// TestLife asks for kept answers again, some seconds later.
func TestLife(t *testing.T) {
	t.Parallel()
	const zone = "example. %d IN SOA a. b. 1 2 3 4 %d"
	for name, c := range map[string]struct {
		rcode             int
		answer, authority string
		life              int // seconds; 0: not kept
	}{
		"positive":          {dns.RcodeSuccess, "a.example. 30 IN A 1.1.1.1", "", 30},
		"not at all":        {dns.RcodeSuccess, "a.example. 0 IN A 1.1.1.1", "", 0},
		"alias":             {dns.RcodeSuccess, "a.example. 30 IN CNAME b.", fmt.Sprintf(zone, 20, 5), 20},
		"no such name":      {dns.RcodeNameError, "", fmt.Sprintf(zone, 60, 7), 7},
		"nothing":           {dns.RcodeSuccess, "", fmt.Sprintf(zone, 6, 70), 6},
		"nobody says so":    {dns.RcodeNameError, "", "", 0},
		"failure":           {dns.RcodeServerFailure, "", fmt.Sprintf(zone, 60, 60), 0},
		"longer than a day": {dns.RcodeSuccess, "a.example. 100000 IN A 1.1.1.1", "", 3600},
	} {
		q, reply := answerTo(t, "a.example.", c.rcode, c.answer, c.authority)
		kept := cache{limit: cacheLimit}
		key, _ := keyOf(q)
		now := time.Now()
		kept.put(key, reply, now)
		out := make([]byte, maxTCP)
		if c.life > 0 {
			last := now.Add(time.Duration(c.life)*time.Second - time.Millisecond)
			n := kept.get(q, last, out)
			var m dns.Msg
			if err := m.Unpack(out[:n]); err != nil || m.Rcode != c.rcode {
				t.Errorf("%s: %v\n%v", name, err, &m)
			}
			for _, r := range append(m.Answer, m.Ns...) {
				if was := r.Header().Ttl; c.life < 3600 && int(was) > 100 {
					t.Errorf("%s: %d seconds are left", name, was)
				}
			}
		}
		if n := kept.get(q, now.Add(time.Duration(c.life)*time.Second), out); n > 0 {
			t.Errorf("%s: it is kept for too long", name)
		}
	}
}

func TestCacheLimit(t *testing.T) {
	t.Parallel()
	kept := cache{limit: 1 << 14}
	for i := range 1000 {
		q, reply := answerTo(t, fmt.Sprintf("n%d.example.", i), dns.RcodeSuccess, "a. 30 IN A 1.1.1.1", "")
		key, _ := keyOf(q)
		kept.put(key, reply, time.Now())
		kept.put(key, reply, time.Now())
		if n := kept.get(q, time.Now(), make([]byte, maxTCP)); n != len(reply) {
			t.Fatalf("the newest is not kept")
		}
	}
	sum := 0
	for key, k := range kept.kept {
		sum += weight(key, k.msg)
	}
	if sum != kept.size || kept.size > kept.limit || len(kept.kept) < 10 {
		t.Errorf("%d answers, of %d bytes, counted as %d", len(kept.kept), sum, kept.size)
	}
}
