//go:build race

package interop

func init() { raceDetector = true }
