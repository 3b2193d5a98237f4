// Command kdc is a realm's Kerberos server and the tools that change its database; see
// package command.
package main

import (
	"os"

	"krealm/kdc/command"
)

func main() { os.Exit(command.Main(os.Args, os.Stdin, os.Stdout, os.Stderr)) }
