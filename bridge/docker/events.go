package docker

import (
	"bufio"
	"context"
	"net/url"
	"time"
)

// eventsAgain is the pause after a dockerd has given no events.
const eventsAgain = 5 * time.Second

// announce tells follow that a dockerd answers.
func (d *Daemon) announce() {
	select {
	case d.appeared <- struct{}{}:
	default:
	}
}

// follow signals a change when the dockerd that Observe has found ends, and when
// one of its networks is created or removed, until ctx ends. Only a dockerd that
// answers is connected to: systemd would start one that listens by socket
// activation and does not run.
func (d *Daemon) follow(ctx context.Context) {
	const filters = `{"type":["network"],"event":["create","destroy"]}`
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.appeared:
		}
		response, err := d.engine.open(ctx, "/events?filters="+url.QueryEscape(filters))
		if err != nil { // it may have ended since, which the next pass finds
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
		select { // of what has ended
		case <-d.appeared:
		default:
		}
		d.signal()
	}
}
