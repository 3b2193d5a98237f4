// Package sender feeds slaves: one goroutine and one stream for each.
//
// A Sender dials its slave, authenticates, exchanges hellos and then sends what the slave lacks:
// the changes behind its point, or a full copy and then the changes. It sends without waiting, up
// to a window of unacknowledged bytes; acknowledgements come back through a second goroutine that
// lives as long as the stream. When the stream ends, for whatever reason, it dials again after a
// capped, jittered backoff, for as long as the slave is on the list. What it knows of the slave
// is a slave.Progress.
//
// It is told to stop through its context, and then says goodbye to the slave and returns; what the
// slave has not acknowledged is sent again next time.
//
// A Set runs the Senders of a slave list, follows changes of the list without disturbing the
// slaves that stay, and answers the feed how far all of them let go of the delta file.
//
// One slave's failure never ends another's stream; a slave that is slow costs its window and
// nothing else.
package sender
