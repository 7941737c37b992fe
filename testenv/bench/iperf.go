package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

// iperfReport is a part of the output of iperf3 -J.
type iperfReport struct {
	Error string `json:"error"`
	End   struct {
		Received struct {
			Bits  float64 `json:"bits_per_second"`
			Bytes int     `json:"bytes"`
		} `json:"sum_received"`
		Sum struct {
			Seconds float64 `json:"seconds"`
			Packets int     `json:"packets"`
			Lost    int     `json:"lost_packets"`
		} `json:"sum"`
	} `json:"end"`
}

// iperf runs iperf3 for one second from one end to the other. Its server serves
// one test.
func iperf(ctx context.Context, from, to seat, options ...string) (report iperfReport, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 20*time.Second, errors.New("iperf3 hangs"))
	defer cancel()
	server := to.Command(ctx, "iperf3", "-s", "-1")
	if err := server.Start(); err != nil {
		return report, fmt.Errorf("start iperf3: %w", err)
	}
	defer func() {
		cancel()
		_ = server.Wait() // the client has reported the result
	}()
	client := append([]string{"iperf3", "-J", "-c", to.Addr.String(), "-t", "1"}, options...)
	err = testenv.Until(ctx, func() error { // until the server listens
		out, err := from.Command(ctx, client...).Output()
		report = iperfReport{}
		if jsonErr := json.Unmarshal(out, &report); jsonErr != nil {
			return fmt.Errorf("%s: %w: %q", strings.Join(client, " "), jsonErr, out)
		}
		if report.Error != "" {
			return fmt.Errorf("%s: %s", strings.Join(client, " "), report.Error)
		}
		return err
	})
	return report, err
}

// roundTrip returns the mean of many round trips, in microseconds.
func roundTrip(ctx context.Context, from, to seat) (float64, error) {
	ping := from.Command(ctx, "ping", "-nqf", "-c", "2000", to.Addr.String())
	var stderr bytes.Buffer
	ping.Stderr = &stderr
	out, err := ping.Output()
	if err != nil {
		return 0, fmt.Errorf("ping %s: %w: %s", to.Addr, err, stderr.Bytes())
	}
	_, times, _ := strings.Cut(string(out), "mdev = ") // min/avg/max/mdev in ms
	fields := strings.Split(times, "/")
	if len(fields) < 4 {
		return 0, fmt.Errorf("ping said %q", out)
	}
	mean, err := strconv.ParseFloat(fields[1], 64)
	return 1000 * mean, err
}
