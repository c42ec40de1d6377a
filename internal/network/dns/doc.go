// Package dns is a name server for guests: it answers for the names that it is
// given, passes everything else on to the host's resolvers, and keeps what
// they answer for as long as they allow. It knows nothing of containers.
//
// Own names are packed into answers whenever they change, so that a question
// costs a look-up and a copy. What strangers send is read by this package
// itself, in query.go and message.go: a message of the library costs some
// twenty allocations.
package dns
