package bench

// Series are the samples of one way to do one thing, at one size.
type Series struct {
	Table   string    `json:"table"`   // what they stand under: "full mesh", "ovsdb", …
	Measure string    `json:"measure"` // "until all ports are present", …
	Way     string    `json:"way"`     // gremesh, or what it is compared with
	N       int       `json:"n"`       // hosts, or peers of one host
	Unit    string    `json:"unit"`    // s, MB, Mbit/s, …
	Samples []float64 `json:"samples"` // in the order of the runs
}
