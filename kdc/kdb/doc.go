// Package kdb keeps one realm's database in an SQLite file.
package kdb
