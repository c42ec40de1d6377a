package container

import "time"

// Request is what a client asked the host for, by one of the names that it
// answers for.
type Request struct {
	Time time.Time `json:"time"`
	// Container is whose name it was; empty: nobody's.
	Container Name   `json:"container,omitempty"`
	Client    string `json:"client"` // its address
	Host      string `json:"host"`
	Scheme    string `json:"scheme"` // http or https
	Proto     string `json:"proto"`  // such as HTTP/2.0
	Method    string `json:"method"`
	URI       string `json:"uri"`
	// Status is that of the answer, or 499 where the client left before there was
	// one.
	Status    int     `json:"status"`
	Bytes     int64   `json:"bytes"`   // of the answer's body
	Seconds   float64 `json:"seconds"` // until the answer's end
	Referer   string  `json:"referer,omitempty"`
	UserAgent string  `json:"userAgent,omitempty"`
	// Error is why the host could not pass the request on, or the answer.
	Error string `json:"error,omitempty"`
}
