package testrealm

import (
	"fmt"
	"strings"

	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
)

// GoLogin gets a ticket with a password and a service ticket with gokrb5's client: for machines
// without the stock programs. It returns the key versions of the two tickets' servers.
func (h *Host) GoLogin(principal, password, service string) (tgtKvno, serviceKvno int, err error) {
	defer func() { // gokrb5 panics on some input
		if p := recover(); p != nil {
			err = fmt.Errorf("testrealm: gokrb5: panic: %v", p)
		}
	}()
	conf, err := config.NewFromString(fmt.Sprintf(krb5Conf, RealmName, RealmName, h.KDCPort))
	if err != nil {
		return 0, 0, fmt.Errorf("testrealm: gokrb5: %w", err)
	}
	name, realm, _ := strings.Cut(principal, "@")
	c := client.NewWithPassword(name, realm, password, conf, client.DisablePAFXFAST(true))
	defer c.Destroy()
	if err := c.Login(); err != nil {
		return 0, 0, fmt.Errorf("testrealm: gokrb5: %w", err)
	}
	tgt, _, err := c.GetServiceTicket("krbtgt/" + realm)
	if err != nil {
		return 0, 0, fmt.Errorf("testrealm: gokrb5: %w", err)
	}
	ticket, _, err := c.GetServiceTicket(service)
	if err != nil {
		return 0, 0, fmt.Errorf("testrealm: gokrb5: %w", err)
	}
	return tgt.EncPart.KVNO, ticket.EncPart.KVNO, nil
}
