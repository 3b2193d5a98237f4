// Login logs in with Krb5LoginModule and gets a ticket for a service with GSS-API.
// Arguments: user, password, host-based service ("host@svc.a.test"). It prints the names.
import java.security.PrivilegedExceptionAction;
import java.util.HashMap;
import java.util.Map;
import javax.security.auth.Subject;
import javax.security.auth.callback.Callback;
import javax.security.auth.callback.NameCallback;
import javax.security.auth.callback.PasswordCallback;
import javax.security.auth.login.AppConfigurationEntry;
import javax.security.auth.login.Configuration;
import javax.security.auth.login.LoginContext;
import org.ietf.jgss.GSSContext;
import org.ietf.jgss.GSSManager;
import org.ietf.jgss.GSSName;
import org.ietf.jgss.Oid;

public class Login {
    public static void main(String[] args) throws Exception {
        Map<String, String> options = new HashMap<>();
        options.put("useTicketCache", "false");
        Configuration conf = new Configuration() {
            public AppConfigurationEntry[] getAppConfigurationEntry(String name) {
                return new AppConfigurationEntry[] {new AppConfigurationEntry("com.sun.security.auth.module.Krb5LoginModule",
                    AppConfigurationEntry.LoginModuleControlFlag.REQUIRED, options)};
            }
        };
        LoginContext login = new LoginContext("client", new Subject(), callbacks -> {
            for (Callback c : callbacks) {
                if (c instanceof NameCallback) {
                    ((NameCallback) c).setName(args[0]);
                } else if (c instanceof PasswordCallback) {
                    ((PasswordCallback) c).setPassword(args[1].toCharArray());
                }
            }
        }, conf);
        login.login();
        Subject.doAs(login.getSubject(), (PrivilegedExceptionAction<Void>) () -> {
            GSSManager m = GSSManager.getInstance();
            GSSName service = m.createName(args[2], GSSName.NT_HOSTBASED_SERVICE);
            GSSContext ctx = m.createContext(service, new Oid("1.2.840.113554.1.2.2"), null, GSSContext.DEFAULT_LIFETIME);
            ctx.initSecContext(new byte[0], 0, 0);
            System.out.println(ctx.getSrcName() + " to " + ctx.getTargName());
            return null;
        });
    }
}
