package command

import "slices"

// kdbUtilMore is what help says beside the usage, which is MIT's word for word: scripts and people
// know it.
const kdbUtilMore = `
	create   make a realm's database: master key, krbtgt, kadmin services;
	         -s keeps the master key in the stash file
	destroy  delete the database, after asking; -f does not ask
	stash    write the master key to the stash file, or to keyfile
	dump     write the database, or the principals that match, as text;
	         -b7, -r13, -r18: versions 4, 5 and 6 of the format instead of 7
	load     replace the database by a dump, or with -update merge one into it:
	         all of the file is taken, or nothing
	ark      add random keys to a principal and keep the old ones
	add_mkey, use_mkey, list_mkeys, update_princ_encryption, purge_mkeys
	         replace the master key step by step while everything runs
	tabdump  print a table: keydata, keyinfo, princ_flags, princ_lockout,
	         princ_meta, princ_stringattrs, princ_tktpolicy, alias;
	         -c: CSV, -H: no header, -n: numbers, -e: nothing for no bytes

not in MIT's:
	load -n  show what would change, and change nothing
	load -force
	         load a dump that leaves less than half of the principals, or that
	         changes the master key: otherwise it is refused
	dump -i0, -i1; load -i, -i0, -i1
	         MIT's iprop and ipropx forms, enabled or not: no lockout fields,
	         and a load leaves those of entries that exist as they are
	load [-heimdal_mkey file] heimdal-dump
	         take a dump of Heimdal's kadmin into a realm that exists; file has
	         Heimdal's master key (m-key), where it has sealed the keys
	verify [-v] [filename]
	         look for what is wrong with a dump file, or with the database:
	         lines, tagged data, keys that do not open; changes nothing
`

// wantsHelp reports whether the first word asks for help.
func wantsHelp(args []string) bool {
	return len(args) > 0 && slices.Contains([]string{"-h", "-help", "--help", "help"}, args[0])
}

func (u *kdbUtil) help() { u.printf("%s%s", kdbUtilUsage, kdbUtilMore) }
