package docker

import (
	"bufio"
	"context"
	"net/url"
	"time"
)

// eventsAgain is the pause after a request for events has failed.
const eventsAgain = 5 * time.Second

// announce tells follow that a dockerd answers. It does not block.
func (d *Daemon) announce() {
	select {
	case d.appeared <- struct{}{}:
	default:
	}
}

// follow signals a change when the dockerd that Observe found ends, and when
// one of its networks is created or removed. It runs until ctx ends. It
// connects only after Observe has found a dockerd that answers. Without that,
// systemd would start a stopped dockerd that uses socket activation.
func (d *Daemon) follow(ctx context.Context) {
	const filters = `{"type":["network"],"event":["create","destroy"]}`
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.appeared:
		}
		response, err := d.engine.open(ctx, "/events?filters="+url.QueryEscape(filters))
		if err != nil { // dockerd may have ended; the next pass finds that out
			select {
			case <-ctx.Done():
			case <-time.After(eventsAgain):
				d.signal()
			}
			continue
		}
		for events := bufio.NewScanner(response.Body); events.Scan(); {
			d.signal()
		}
		_ = response.Body.Close()
		select { // drop an announcement of the dockerd that has ended
		case <-d.appeared:
		default:
		}
		d.signal()
	}
}
