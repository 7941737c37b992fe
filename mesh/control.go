package mesh

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
)

// Control serves the API on the agent's control socket: HTTP with JSON.
//
//	GET  /v1/status               Status
//	GET  /v1/audit                Audit
//	GET  /v1/mesh?one=BOOL        FullAudit, of two audits or, with one=true, of one
//	GET  /v1/plan                 Preview
//	POST /v1/leave?release=BOOL   an empty object, after the host has left
//	GET  /v1/leases               []Lease
//	GET  /v1/forget?host=HOST     Forgotten, the host that HOST means
//	POST /v1/forget?host=HOST     Forgotten; for how=force and how=purge see ForgetHow
//	POST /v1/renumber?to=SUBNET   {"subnet": "..."}, after the claim has succeeded
//	POST /v1/retry?host=HOST      {"type": "gre"}, after the tunnel is up with it
//	GET  /v1/config               SettingList
//	POST /v1/config               SettingList after the change; the body is [{"key": "...", "value": "..."}]
//	GET  /v1/adopt                Adoption, the ports to take over
//	POST /v1/adopt                Adoption, after taking over the ports
//
// An error has a status of 400 or more and the body {"error": "..."}.
type Control struct {
	Loop     *Loop
	Leases   Leases
	Survey   Surveyor
	Settings SettingsEditor
	Leave    func(ctx context.Context, release bool) error
}

// Handler returns the API.
func (c Control) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, c.Loop.Status(r.Context()))
	})
	mux.HandleFunc("GET /v1/audit", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, c.Loop.Audit(r.Context()))
	})
	mux.HandleFunc("GET /v1/plan", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, c.Loop.Plan(r.Context()))
	})
	mux.HandleFunc("GET /v1/mesh", c.getMesh)
	mux.HandleFunc("POST /v1/leave", func(w http.ResponseWriter, r *http.Request) {
		release, err := strconv.ParseBool(r.URL.Query().Get("release"))
		if err != nil {
			refuse(w, http.StatusBadRequest, "release must be true or false")
			return
		}
		if err := c.Leave(r.Context(), release); err != nil {
			refuse(w, http.StatusInternalServerError, err.Error())
			return
		}
		answer(w, http.StatusOK, struct{}{})
	})
	mux.HandleFunc("GET /v1/leases", c.getLeases)
	mux.HandleFunc("GET /v1/forget", c.getForget)
	mux.HandleFunc("POST /v1/forget", c.postForget)
	mux.HandleFunc("POST /v1/renumber", c.postRenumber)
	mux.HandleFunc("POST /v1/retry", c.postRetry)
	mux.HandleFunc("GET /v1/config", c.getSettings)
	mux.HandleFunc("POST /v1/config", c.postSettings)
	mux.HandleFunc("GET /v1/adopt", c.getAdopt)
	mux.HandleFunc("POST /v1/adopt", c.postAdopt)
	return mux
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone; then nobody needs the answer
}

func refuse(w http.ResponseWriter, code int, why string) {
	answer(w, code, map[string]string{"error": why})
}
