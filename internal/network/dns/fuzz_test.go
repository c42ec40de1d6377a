package dns

import (
	"bytes"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// FuzzRespond answers whatever a guest sends. Every answer has to be a message
// that fits.
func FuzzRespond(f *testing.F) {
	for _, name := range []string{"web.", "nobody.containers.", "5.0.88.10.in-addr.arpa.", "example.org."} {
		m := new(dns.Msg)
		m.SetQuestion(name, dns.TypeA)
		b, _ := m.Pack()
		f.Add(b)
		m.SetEdns0(512, true)
		b, _ = m.Pack()
		f.Add(b)
	}
	f.Add([]byte("\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01"))
	v := view()
	f.Fuzz(func(t *testing.T, msg []byte) {
		before := bytes.Clone(msg)
		q, out := new(query), make([]byte, maxQuery)
		n, ok := respond(v, q, msg, out)
		if !bytes.Equal(before, msg) {
			t.Error("it changes the question")
		}
		if !ok {
			n = refuse(q, dns.RcodeServerFailure, out)
			keyOf(q)
		}
		if n == 0 {
			return
		}
		n = cut(q, out, n)
		var reply, question dns.Msg
		if err := reply.Unpack(out[:n]); err != nil || !reply.Response || n > q.size {
			t.Errorf("%d bytes for %d: %v", n, q.size, err)
		}
		if question.Unpack(msg) == nil && ok && len(question.Question) == 1 && reply.Rcode == dns.RcodeSuccess && question.Question[0] != reply.Question[0] {
			t.Errorf("%v is answered by %v", question.Question, reply.Question)
		}
	})
}

// FuzzSurvey reads whatever a resolver sends, keeps it, and gives it again.
func FuzzSurvey(f *testing.F) {
	m := new(dns.Msg)
	m.SetQuestion("a.example.", dns.TypeA)
	b, _ := m.Pack()
	f.Add(b, b, uint32(1))
	rr, _ := dns.NewRR("example. 60 IN SOA a. b. 1 2 3 4 60")
	m.Ns, m.Response = []dns.RR{rr}, true
	reply, _ := m.Pack()
	f.Add(b, reply, uint32(7))
	f.Fuzz(func(t *testing.T, msg, reply []byte, seconds uint32) {
		q := new(query)
		if q.parse(msg) != dns.RcodeSuccess || len(reply) < 2 || !answers(reply, uint16(reply[0])<<8|uint16(reply[1]), q) {
			return
		}
		c := cache{limit: cacheLimit}
		key, _ := keyOf(q)
		now := time.Now()
		c.put(key, reply, now)
		out := make([]byte, maxQuery)
		if n := c.get(q, now.Add(time.Duration(seconds)*time.Second), out); n > 0 {
			cut(q, out, n)
		}
		adapt(q, reply, out)
	})
}

// BenchmarkAnswer has to need no memory.
func BenchmarkAnswer(b *testing.B) {
	m := new(dns.Msg)
	m.SetQuestion("web.containers.", dns.TypeAAAA)
	m.SetEdns0(1232, false)
	msg, err := m.Pack()
	if err != nil {
		b.Fatal(err)
	}
	v, q, out := view(), new(query), make([]byte, maxQuery)
	b.ReportAllocs()
	for b.Loop() {
		if n, ok := respond(v, q, msg, out); n == 0 || !ok {
			b.Fatal("no answer")
		}
	}
}

func TestAnswerTakesNoMemory(t *testing.T) {
	m := new(dns.Msg)
	m.SetQuestion("web.containers.", dns.TypeA)
	msg, _ := m.Pack()
	v, q, out := view(), new(query), make([]byte, maxQuery)
	for _, qtype := range []byte{byte(dns.TypeA), byte(dns.TypeTXT)} {
		msg[len(msg)-3] = qtype
		if n := testing.AllocsPerRun(100, func() { respond(v, q, msg, out) }); n > 0 {
			t.Errorf("%v allocations", n)
		}
	}
}
