package command

import (
	"context"
	"strings"
)

// kadminCommand is one command of kadmin.local; run gets its words, the first of which is the
// name that was typed.
type kadminCommand struct {
	names []string
	help  string
	run   func(k *kadmin, ctx context.Context, words []string)
}

// kadminCommands lists the commands in the order of the help.
func kadminCommands() []kadminCommand {
	return []kadminCommand{
		{[]string{"add_principal", "addprinc", "ank"}, "Add principal", (*kadmin).addPrincipal},
		{[]string{"delete_principal", "delprinc"}, "Delete principal", (*kadmin).deletePrincipal},
		{[]string{"modify_principal", "modprinc"}, "Modify principal", (*kadmin).modifyPrincipal},
		{[]string{"rename_principal", "renprinc"}, "Rename principal", (*kadmin).renamePrincipal},
		{[]string{"change_password", "cpw"}, "Change password", (*kadmin).changePassword},
		{[]string{"get_principal", "getprinc"}, "Get principal", (*kadmin).getPrincipal},
		{[]string{"list_principals", "listprincs", "get_principals", "getprincs"}, "List principals", (*kadmin).listPrincipals},
		{[]string{"add_policy", "addpol"}, "Add policy", (*kadmin).addPolicy},
		{[]string{"modify_policy", "modpol"}, "Modify policy", (*kadmin).modifyPolicy},
		{[]string{"delete_policy", "delpol"}, "Delete policy", (*kadmin).deletePolicy},
		{[]string{"get_policy", "getpol"}, "Get policy", (*kadmin).getPolicy},
		{[]string{"list_policies", "listpols", "get_policies", "getpols"}, "List policies", (*kadmin).listPolicies},
		{[]string{"get_privs", "getprivs"}, "Get privileges", (*kadmin).getPrivs},
		{[]string{"ktadd", "xst"}, "Add entry(s) to a keytab", (*kadmin).ktAdd},
		{[]string{"ktremove", "ktrem"}, "Remove entry(s) from a keytab", (*kadmin).ktRemove},
		{[]string{"lock"}, "Not needed: each command is a transaction", (*kadmin).lock},
		{[]string{"unlock"}, "Not needed: each command is a transaction", (*kadmin).lock},
		{[]string{"purgekeys"}, "Purge previously retained old keys from a principal", (*kadmin).purgeKeys},
		{[]string{"get_strings", "getstrs"}, "Show string attributes on a principal", (*kadmin).getStrings},
		{[]string{"set_string", "setstr"}, "Set a string attribute on a principal", (*kadmin).setString},
		{[]string{"del_string", "delstr"}, "Delete a string attribute on a principal", (*kadmin).deleteString},
		{[]string{"list_requests", "lr", "?"}, "List available requests.", (*kadmin).listRequests},
		{[]string{"quit", "exit", "q"}, "Exit program.", func(k *kadmin, _ context.Context, _ []string) { k.over = true }},
	}
}

func (k *kadmin) listRequests(ctx context.Context, _ []string) {
	k.printf("Available %s requests:\n\n", kadminName)
	const width = 25
	for _, c := range kadminCommands() {
		names := strings.Join(c.names, ", ")
		if len(names) >= width {
			names += "\n"
			k.printf("%s%*s%s\n", names, width, "", c.help)
			continue
		}
		k.printf("%-*s%s\n", width, names, c.help)
	}
}

// lock answers both lock and unlock. MIT's lock keeps other programs out of the database
// between commands; here no program waits on another for longer than one transaction.
func (k *kadmin) lock(ctx context.Context, words []string) {
	k.complain("%s: not supported: each command is a transaction of its own\n", words[0])
}

func (k *kadmin) getPrivs(ctx context.Context, words []string) {
	if len(words) != 1 {
		k.complain("usage: get_privs\n")
		return
	}
	k.printf("current privileges: INQUIRE ADD MODIFY DELETE\n")
}
