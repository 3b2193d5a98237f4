// Package sdnotify speaks with a service manager of systemd's kind: it takes over sockets that the
// manager has bound (sd_listen_fds(3)) and says when the service is ready (sd_notify(3)). Without
// such a manager it does nothing.
package sdnotify
