// Package command is the kdc program: its subcommands and the names it answers to.
//
//	kdc serve         or krb5kdc        the KDC
//	kdc kadmin.local  or kadmin.local   administration of the local database
//	kdc kdb5_util     or kdb5_util      creating, dumping and loading the database
//	kdc version, kdc help
//
// Options, prompts, texts and exit statuses of the last two are those of MIT krb5 1.20, which
// people have in their fingers and in their scripts. Where they differ, the reason is one
// of these: the other answer would harm the realm or mislead (docs of package admin), or the
// text would name a database module that is not there.
//
// A command reads through a console, which knows whether a person sits at it, and writes
// results to standard output and everything else to standard error.
package command
