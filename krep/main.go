// Krep feeds the slaves of a Kerberos realm with the changes of its database.
package main

import (
	"os"

	"krealm/krep/command"
)

func main() { os.Exit(command.Main(os.Args[1:], os.Stdout, os.Stderr)) }
