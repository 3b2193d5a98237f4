// Package tests holds what concerns the tree as a whole: that imports point down only, and that
// the documents name targets, files and tests that exist. Below it lie testrealm (a throw-away
// realm of real processes), interop (tests against the stock MIT programs) and demo (make run).
package tests
