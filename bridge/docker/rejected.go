package docker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/gremesh/gremesh/bridge/procs"
)

// firstToValidate is the first release with dockerd --validate (moby pull
// request 42393).
var firstToValidate = release{23, 0}

// judgedFile identifies a content of daemon.json and the program that checked
// it.
type judgedFile struct {
	by      program
	content [sha256.Size]byte
}

// rejected returns the reason why the next dockerd would not start with this
// content of daemon.json. It returns nil if dockerd accepts the content, or if
// that is unknown. From 23.0 on, dockerd itself is asked. For an older dockerd,
// the keys are compared with a list.
func (d *Daemon) rejected(ctx context.Context, running []procs.Process, content []byte) (*Trouble, error) {
	path, err := installed(running)
	if err != nil {
		return nil, nil //nolint:nilerr // without Docker there is none that could reject it
	}
	is, err := d.version(ctx, path)
	if err != nil {
		return nil, nil //nolint:nilerr // the same, while it is being replaced
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil //nolint:nilerr // as above
	}
	judged := judgedFile{identify(info), sha256.Sum256(content)}
	if t, known := d.judged[judged]; known {
		return t, nil
	}
	var why string
	if is.since(firstToValidate) {
		why, err = d.validate(ctx, path, running, content)
	} else {
		why, err = unknownKeys(content)
	}
	if err != nil {
		return nil, err
	}
	var t *Trouble
	if why != "" {
		t = &Trouble{
			What: fmt.Sprintf("%s: dockerd %s would not start with it: %s; the file and Docker are left unchanged", d.cfg.Path, is, why),
			Do:   "remove or correct that in " + d.cfg.Path,
		}
	}
	clear(d.judged) // only the last result is stored
	d.judged[judged] = t
	return t, nil
}

// validate asks a dockerd whether it would start with this content of
// daemon.json and with the flags of the running dockerd. It uses these flags
// only if exactly one dockerd runs. It returns an empty why if dockerd would
// start. With --validate, dockerd only reads its configuration.
func (d *Daemon) validate(ctx context.Context, path string, running []procs.Process, content []byte) (why string, err error) {
	dir, err := os.MkdirTemp("", "gremesh-validate-")
	if err != nil {
		return "", fmt.Errorf("check daemon.json: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // nothing of it is needed
	draft := filepath.Join(dir, "daemon.json")
	if err := os.WriteFile(draft, content, 0o600); err != nil {
		return "", fmt.Errorf("check daemon.json: %w", err)
	}
	var flags []string
	if len(running) == 1 {
		if flags, err = arguments(running[0]); err != nil {
			return "", err
		}
	}
	flags = append(slices.Clip(flags[min(1, len(flags)):]), "--validate", "--config-file", draft)
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, flags...).CombinedOutput()
	if err == nil {
		return "", nil
	}
	if ctx.Err() != nil {
		return "", fmt.Errorf("check daemon.json: %s --validate: %w", path, ctx.Err())
	}
	lines := strings.Split(strings.TrimSpace(string(bytes.ToValidUTF8(out, nil))), "\n")
	return strings.ReplaceAll(lines[len(lines)-1], draft, "daemon.json"), nil
}

// unknownKeys lists the keys of a daemon.json that a dockerd before 23.0 does
// not know. dockerd does not start with them. The known keys are those of
// dockerd 20.10.24. Releases from 18.09 on know all of them that are in use.
func unknownKeys(content []byte) (why string, err error) {
	f, err := parse(content)
	if err != nil {
		return "", err
	}
	var unknown []string
	for _, m := range f.object.Members {
		name := m.Name.Value.(hujson.Literal).String()
		if _, known := slices.BinarySearch(keysBefore23, name); !known {
			unknown = append(unknown, fmt.Sprintf("%s: it does not know the key %q", position(content, m.Name.StartOffset), name))
		}
	}
	return strings.Join(unknown, "; "), nil
}

// keysBefore23 lists these keys. It must be sorted, because BinarySearch needs
// that.
var keysBefore23 = strings.Fields(`
	add-runtime allow-nondistributable-artifacts api-cors-header authorization-plugin authorization-plugins bip bridge builder
	cgroup-parent cluster-advertise cluster-store cluster-store-opts config-file containerd containerd-namespace
	containerd-plugins-namespace cpu-rt-period cpu-rt-runtime cri-containerd data-root debug default-address-pool
	default-address-pools default-cgroupns-mode default-gateway default-gateway-v6 default-ipc-mode default-runtime
	default-shm-size default-ulimit default-ulimits deprecated-key-path dns dns-opt dns-opts dns-search exec-opt exec-opts
	exec-root experimental features fixed-cidr fixed-cidr-v6 graph group help host host-gateway-ip hosts icc init init-path
	insecure-registries insecure-registry ip ip-forward ip-masq ip6tables iptables ipv6 label labels live-restore log-driver
	log-level log-opt log-opts max-concurrent-downloads max-concurrent-uploads max-download-attempts metrics-addr mtu
	network-control-plane-mtu network-diagnostic-port no-new-privileges node-generic-resource node-generic-resources
	oom-score-adjust pidfile raw-logs registry-mirror registry-mirrors rootless runtimes seccomp-profile selinux-enabled
	shutdown-timeout storage-driver storage-opt storage-opts swarm-default-advertise-addr tls tlscacert tlscert tlskey
	tlsverify userland-proxy userland-proxy-path userns-remap version`)
