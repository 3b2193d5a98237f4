// Krepd receives the changes of a Kerberos realm's database on a slave and applies them.
package main

import (
	"os"

	"krealm/krepd/command"
)

func main() { os.Exit(command.Main(os.Args[1:], os.Stdout, os.Stderr)) }
